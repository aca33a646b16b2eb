"""Random tokens for sessions, keys and links; the database has their hashes."""

import hashlib
import secrets


def new_token() -> str:
    """256 random bits in 43 characters of a URL."""
    return secrets.token_urlsafe(32)


def hash_of(token: str) -> str:
    """What is kept of a token. A plain hash is enough where nobody can guess what was hashed."""
    return hashlib.sha256(token.encode()).hexdigest()
