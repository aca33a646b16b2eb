"""The second factor: codes of six digits that change every half minute (RFC 6238)."""

import hmac
import io
import secrets
from datetime import datetime

import pyotp
import segno

ISSUER = "LA-DNN"
STEP = 30  # seconds
WINDOW = 1  # steps that a telephone's clock may be early or late
RECOVERY_CODES = 10
_GROUPS, _GROUP = 4, 4
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is taken for another on paper


def new_secret() -> str:
    """160 random bits in base 32."""
    return pyotp.random_base32()


def code_at(secret: str, when: datetime) -> str:
    """The code of a moment."""
    return pyotp.TOTP(secret, interval=STEP).at(when)


def matching_step(secret: str, code: str, when: datetime, last: int) -> int | None:
    """The number of the step whose code was given.

    Args:
        secret: in base 32.
        code: six digits, spaces allowed.
        when: the present.
        last: the step that was used last; neither it nor an earlier one counts again.
    """
    given = "".join(code.split())
    now = int(when.timestamp()) // STEP
    codes = pyotp.TOTP(secret, interval=STEP)
    found = None
    for step in range(now - WINDOW, now + WINDOW + 1):
        if hmac.compare_digest(codes.generate_otp(step).encode(), given.encode()) and step > last:
            found = step
    return found


def enrolment_link(secret: str, email: str) -> str:
    """The otpauth:// link that an authenticator reads."""
    return pyotp.TOTP(secret, interval=STEP).provisioning_uri(name=email, issuer_name=ISSUER)


def qr_code(link: str) -> str:
    """The link as an SVG picture of black on white, whatever the theme: telephones need that."""
    out = io.BytesIO()
    segno.make(link, error="m").save(
        out, kind="svg", border=4, light="#fff", dark="#000", xmldecl=False, svgns=True,
        scale=5, svgclass="qr-code", lineclass=None,
    )  # fmt: skip
    return out.getvalue().decode()


def new_recovery_codes() -> list[str]:
    """Ten codes to write down, each of 79 bits, such as `k3mp-x9tz-...`."""
    return [
        "-".join("".join(secrets.choice(_LETTERS) for _ in range(_GROUP)) for _ in range(_GROUPS))
        for _ in range(RECOVERY_CODES)
    ]


def tidy_recovery_code(code: str) -> str:
    """A recovery code as it was written down: capitals, spaces and missing dashes do not matter."""
    letters = "".join(letter for letter in code.lower() if letter.isalnum())
    return "-".join(letters[start : start + _GROUP] for start in range(0, len(letters), _GROUP))
