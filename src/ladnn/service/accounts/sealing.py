"""Secrets that must be read again: encrypted with a key that the site's own secret gives."""

import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ladnn.service.errors import SealBroken

_NONCE = 12  # bytes


def seal(text: str, secret: bytes, purpose: str) -> bytes:
    """The text under AES-256-GCM, bound to a purpose such as `totp ACCOUNT`."""
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(derive(secret, "sealing")).encrypt(nonce, text.encode(), purpose.encode())


def unseal(sealed: bytes, secret: bytes, purpose: str) -> str:
    """The text again; SealBroken when secret, purpose or bytes are others."""
    try:
        plain = AESGCM(derive(secret, "sealing")).decrypt(
            sealed[:_NONCE], sealed[_NONCE:], purpose.encode()
        )
    except (InvalidTag, ValueError):
        raise SealBroken from None
    return plain.decode()


def derive(secret: bytes, purpose: str) -> bytes:
    """A key of 256 bits of its own for each purpose."""
    return hmac.new(secret, f"ladnn {purpose}".encode(), hashlib.sha256).digest()
