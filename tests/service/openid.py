"""A small OpenID provider over HTTP, with FastAPI and joserfc: PKCE enforced, faults on wish."""

import base64
import hashlib
import secrets
import time
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import FastAPI, Form, Request
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.responses import JSONResponse, RedirectResponse

CLIENT, SECRET = "ladnn", "a secret between the two"
LEFT_OUT = "(left out)"
"""A claim with this value is not in the token; one of None is there as null."""


@dataclass
class OpenId:
    """The provider.

    Attributes:
        claims: what it says of whoever signs in; the tests change it.
        wrong: claims that replace the right ones in the token, such as another `aud`.
        key, other: what it signs with, and a key that nobody was told of.
        forge: whether it signs with the other one.
        codes: given out and not used yet, each with the request that it answers.
        keys_asked: how often its keys were asked for.
    """

    issuer: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    wrong: dict[str, Any] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    other: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    forge: bool = False
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    keys_asked: int = 0

    def app(self) -> FastAPI:
        app = FastAPI()
        app.get("/.well-known/openid-configuration")(self.describe)
        app.get("/keys")(self.keys)
        app.get("/authorize")(self.authorize)
        app.post("/token")(self.token)
        return app

    def describe(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["none", "HS256", "RS256"],
        }

    def keys(self) -> dict[str, Any]:
        self.keys_asked += 1
        return {"keys": [self.key.as_dict(private=False)]}

    def authorize(self, request: Request) -> RedirectResponse:
        asked = dict(request.query_params)
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        back = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{back}", status_code=303)

    def token(
        self,
        request: Request,
        code: Annotated[str, Form()],
        redirect_uri: Annotated[str, Form()],
        code_verifier: Annotated[str, Form()],
    ) -> JSONResponse:
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".replace(" ", "%20").encode()).decode()
        plain = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        asked = self.codes.pop(code, None)
        digest = hashlib.sha256(code_verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        given = request.headers["authorization"].removeprefix("Basic ")
        if (
            asked is None
            or given not in (basic, plain)
            or asked["redirect_uri"] != redirect_uri
            or asked["code_challenge"] != challenge
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            **self.claims,
            **self.wrong,
        }
        said = {name: value for name, value in claims.items() if value != LEFT_OUT}
        signer = self.other if self.forge else self.key
        signed = jwt.encode({"alg": "RS256", "kid": "one"}, said, signer)
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": signed})
