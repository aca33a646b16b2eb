"""Signing in at an OpenID provider: authorization code with PKCE, state and nonce, by Authlib."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from authlib.integrations.base_client import BaseApp, OAuthError
from authlib.integrations.base_client.sync_app import OAuth2Mixin
from authlib.integrations.base_client.sync_openid import OpenIDMixin
from authlib.integrations.httpx_client import OAuth2Client
from joserfc.errors import BadSignatureError, JoseError

from ladnn.service.accounts.permissions import Role
from ladnn.service.errors import ProviderAway, ProviderRefused
from ladnn.service.settings import Settings

SCOPE = "openid email profile"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA", "Ed25519")
"""Signatures by a key that only the provider has."""
STRONG = frozenset({"mfa", "otp", "hwk", "swk", "sc", "fpt", "face", "iris"})
"""Values of `amr` (RFC 8176) by which a provider says that it asked for a second factor."""
_SECONDS = 10
_KEYS_SECONDS = 60.0
"""Seconds between two looks for a key that took another's place under the same `kid`."""


@dataclass(frozen=True, kw_only=True)
class Journey:
    """What the browser keeps, signed, while its person is at the provider."""

    url: str
    state: str
    nonce: str
    code_verifier: str


@dataclass(frozen=True, kw_only=True)
class Person:
    """Whom the provider has vouched for.

    Attributes:
        issuer, subject: together the one name that does not change.
        email: lower case, a label alone, by which nobody is recognised; may be empty.
        role: by the mapping of the settings; None when none of them fits.
        strong: whether the provider says that it asked for a second factor.
    """

    issuer: str
    subject: str
    email: str
    name: str
    role: Role | None
    strong: bool


class _App(OAuth2Mixin, OpenIDMixin, BaseApp):  # type: ignore[misc]  # Authlib has no types
    client_cls = OAuth2Client


class Provider:
    """One provider; its description is fetched when it is needed first, and kept."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._issuer = settings.oidc_issuer.rstrip("/")
        self._app: _App | None = None
        self._next_keys = 0.0  # of the monotonic clock

    def start(self, redirect_uri: str) -> Journey:
        """Where to send the browser, and what it has to bring back."""
        made = self._ask(lambda app: app.create_authorization_url(redirect_uri))
        return Journey(**{name: made[name] for name in ("url", "state", "nonce", "code_verifier")})

    def finish(self, code: str, journey: Journey, redirect_uri: str) -> Person:
        """Whom the code stands for, its token checked: signature, issuer, audience, time, nonce.

        Raises ProviderAway or ProviderRefused.
        """

        def fetch(app: _App) -> Mapping[str, Any] | None:
            token = app.fetch_access_token(
                redirect_uri, code=code, code_verifier=journey.code_verifier
            )
            try:
                return _read_token(app, token, journey.nonce)
            except BadSignatureError:  # Authlib asks again only for a `kid` that it does not know
                if time.monotonic() < self._next_keys:
                    raise
                self._next_keys = time.monotonic() + _KEYS_SECONDS
                app.fetch_jwk_set(force=True)
                return _read_token(app, token, journey.nonce)

        claims = self._ask(fetch)
        if not claims:
            raise ProviderRefused
        return read_person(claims, self._settings)

    def _ask(self, work: Any) -> Any:  # noqa: ANN401  # Authlib has no types
        try:
            return work(self._described())
        except (OAuthError, JoseError) as error:
            raise ProviderRefused from error
        except (OSError, ValueError, RuntimeError, httpx2.HTTPError) as error:
            raise ProviderAway from error

    def _described(self) -> _App:
        if self._app is None:
            app = _App(
                framework=None,
                name="provider",
                client_id=self._settings.oidc_client_id,
                client_secret=self._settings.oidc_client_secret,
                server_metadata_url=f"{self._issuer}/.well-known/openid-configuration",
                client_kwargs={
                    "scope": SCOPE,
                    "code_challenge_method": "S256",
                    "timeout": _SECONDS,
                },
            )
            described = app.load_server_metadata()
            if str(described.get("issuer", "")).rstrip("/") != self._issuer:
                raise ProviderAway
            offered = described.get("id_token_signing_alg_values_supported", ["RS256"])
            app.server_metadata["id_token_signing_alg_values_supported"] = [
                name for name in offered if name in ALGORITHMS
            ]
            self._app = app
        return self._app


def _read_token(app: _App, token: Mapping[str, Any], nonce: str) -> Mapping[str, Any] | None:
    """The claims of an answer's token, checked by the keys that are known; None without a token."""
    claims: Mapping[str, Any] | None = app.parse_id_token(
        token,
        nonce=nonce,
        claims_options={
            "iss": {"essential": True, "value": app.server_metadata["issuer"]},
            "aud": {"essential": True, "value": app.client_id},
        },
    )
    return claims


def read_person(claims: Mapping[str, Any], settings: Settings) -> Person:
    """The claims of a checked token, whose subject is a text; ProviderRefused where it is empty.

    Of the others, what is null or of another kind is as if it were not there: written out it would
    be the same words for everyone.
    """
    if not claims["sub"]:
        raise ProviderRefused
    email = _text(claims.get("email")).strip().lower()
    amr = claims.get("amr")
    return Person(
        issuer=str(claims["iss"]),
        subject=str(claims["sub"]),
        email=email,
        name=(_text(claims.get("name")) or email)[:200],
        role=mapped_role(claims.get(settings.oidc_role_claim), settings),
        strong=isinstance(amr, list) and bool(STRONG & {str(one) for one in amr}),
    )


def _text(claim: object) -> str:
    return claim if isinstance(claim, str) else ""


def mapped_role(claim: object, settings: Settings) -> Role | None:
    """The highest role that the settings give to a value of the claim: one word or a list."""
    given = claim if isinstance(claim, list) else [claim]
    values = {str(one) for one in given if one is not None}
    roles = [role for value, role in settings.oidc_mapping.items() if value in values]
    return max(map(Role, roles), key=list(Role).index, default=None)
