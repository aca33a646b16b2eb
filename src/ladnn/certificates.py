"""What is wrong with the certificate of a server, in words."""

import ssl
from collections.abc import Iterator

_FAULTS = {
    9: "its certificate is not valid yet: look at the clocks of both machines",
    10: "its certificate has expired: have it renewed",
    **dict.fromkeys(
        (62, 64), "its certificate is for another name: give the address that it names"
    ),
    **dict.fromkeys(
        (2, 18, 19, 20, 21),
        "its certificate is of no authority known here: name the authority's file in {variable}",
    ),
}
"""By OpenSSL's X509_V_ERR_*."""


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it came from, what that came from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def fault(error: BaseException, variable: str = "SSL_CERT_FILE") -> str | None:
    """What is wrong with the certificate that an error came from, and the remedy; None for others.

    Args:
        error: whatever a library made of it.
        variable: of the environment, which names the file of further authorities.
    """
    for one in chain(error):
        # aiohttp has a class of that kind which is told nothing of all this.
        if isinstance(one, ssl.SSLCertVerificationError) and hasattr(one, "verify_code"):
            otherwise = f"its certificate is refused: {one.verify_message}"
            return _FAULTS.get(one.verify_code, otherwise).format(variable=variable)
    return None
