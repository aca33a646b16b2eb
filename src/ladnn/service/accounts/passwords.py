"""Passwords: which are good enough, how they are kept (argon2id) and how they are checked."""

import re
import threading
import unicodedata
from functools import lru_cache

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST = 12
LONGEST = 256  # characters; more would only keep the processor busy
FEWEST_DIFFERENT = 6
COMMON = (
    "password", "passwort", "passw0rd", "123456789012", "1234567890", "abcdefghijkl", "qwertyuiop",
    "qwertzuiop", "asdfghjkl", "iloveyou", "administrator", "letmein", "welcome", "changeme",
    "correcthorsebatterystaple", "covid19", "ladnn", "la-dnn", "radiology",
)  # fmt: skip
"""What people begin with when a long password is asked of them; little may stand beside it."""

# OWASP's second profile: 19 MiB, two passes, one lane; some 30 ms. Requests that check passwords at
# the same time are held to a few, so that guessing fills neither the memory nor the processor.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
_AT_ONCE = threading.BoundedSemaphore(4)


def weakness(password: str, *about: str) -> str | None:
    """The key of the sentence that says why a password will not do; None when it will.

    Args:
        password: as it was typed.
        about: what an attacker tries first: the address and the name of the account.
    """
    text = _normal(password)
    if len(text) < SHORTEST:
        return "password.short"
    if len(text) > LONGEST:
        return "password.long"
    plain = text.casefold()
    if len(set(plain)) < FEWEST_DIFFERENT:
        return "password.simple"
    for word in sorted({*COMMON, *_words(about)}, key=len, reverse=True):
        plain = plain.replace(word, "")
    return "password.common" if len(plain) < FEWEST_DIFFERENT else None


def hash_password(password: str) -> str:
    """The argon2id hash in its own text form, with salt and costs; some 30 ms."""
    with _AT_ONCE:
        return _HASHER.hash(_normal(password))


def check_password(kept: str | None, password: str) -> bool:
    """Whether the password is the one of that hash.

    As much work is done where there is no hash, so that the time does not tell whether somebody
    has an account.
    """
    text = _normal(password)[: LONGEST + 1]
    with _AT_ONCE:
        try:
            return _HASHER.verify(kept or _nobody(), text) and kept is not None
        except (VerificationError, InvalidHashError):
            return False


def is_outdated(kept: str) -> bool:
    """Whether the hash was made at other costs than today's, and should be made again."""
    return _HASHER.check_needs_rehash(kept)


def _words(about: tuple[str, ...]) -> list[str]:
    parts = [part for text in about for part in (text, *re.findall(r"\w+", text))]
    return [part.casefold() for part in parts if len(part) > 3]


def _normal(password: str) -> str:
    """One form for what keyboards write differently (NFKC, as RFC 8265 has it)."""
    return unicodedata.normalize("NFKC", password)


@lru_cache(maxsize=1)
def _nobody() -> str:
    return _HASHER.hash("nobody has this password")
