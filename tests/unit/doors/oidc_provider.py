"""A small real provider of OpenID Connect, for tests, on loopback. It can be told to lie."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse
from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "hall", "known-to-provider-and-hall"


class OidcProvider:
    """Signs in whoever comes, as the person with `email`."""

    def __init__(self) -> None:
        self.email = "anna@example.org"
        self.verified: Any = True
        self.issuer = ""
        self.key = RSAKey.generate_key(2048, parameters={"kid": "one", "use": "sig"})
        self.lie: Callable[[dict[str, Any]], None] = lambda claims: None
        """Changes what an identity token says before it is signed."""
        self.sign: Callable[[dict[str, Any]], str] = self.signed
        self.discovery: dict[str, Any] = {}
        """Said instead at the well-known address."""
        self.key_requests = 0
        self.redeemed: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        self.app = self._app()

    def signed(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)

    def unsigned(self, claims: dict[str, Any]) -> str:
        """With `alg: none`."""
        parts = [{"alg": "none"}, claims]
        return ".".join(_base64url(json.dumps(part).encode()) for part in parts) + "."

    def signed_with_public_key(self, claims: dict[str, Any]) -> str:
        """With HS256, and what everybody knows as the secret."""
        head = {"alg": "HS256", "kid": self.key.kid}
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (head, claims))
        mark = hmac.digest(self.key.as_pem(private=False), signed.encode(), "sha256")
        return f"{signed}.{_base64url(mark)}"

    def code_for(self, query: dict[str, str]) -> str:
        """What the browser brings back, of somebody who has asked for this."""
        code = secrets.token_urlsafe(16)
        self._codes[code] = query
        return code

    def _app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/.well-known/openid-configuration")
        async def discovery() -> dict[str, Any]:
            return {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                **self.discovery,
            }

        @app.get("/authorize")
        async def authorize(request: Request) -> RedirectResponse:
            query = dict(request.query_params)
            assert query["response_type"] == "code"
            assert query["client_id"] == CLIENT
            assert query["code_challenge_method"] == "S256"
            answer = {"code": self.code_for(query), "state": query["state"], "iss": self.issuer}
            return RedirectResponse(f"{query['redirect_uri']}?{urlencode(answer)}", status_code=302)

        @app.post("/token")
        async def token(request: Request) -> JSONResponse:
            form = dict(pair.split("=", 1) for pair in (await request.body()).decode().split("&"))
            asked = self._codes.pop(form["code"], None)
            right = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
            verifier = hashlib.sha256(form["code_verifier"].encode()).digest()
            if request.headers["authorization"] != f"Basic {right}":
                return JSONResponse({"error": "invalid_client"}, status_code=401)
            if asked is None or _base64url(verifier) != asked["code_challenge"]:
                return JSONResponse({"error": "invalid_grant"}, status_code=400)
            self.redeemed.append(form["code"])
            return JSONResponse(
                {"access_token": "a", "token_type": "Bearer", "id_token": self._id_token(asked)}
            )

        @app.get("/jwks")
        async def jwks() -> dict[str, Any]:
            self.key_requests += 1
            return {"keys": [self.key.as_dict(private=False)]}

        return app

    def _id_token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": CLIENT, "sub": "1234", "iat": now, "exp": now + 300,
            "nonce": asked["nonce"], "email": self.email, "email_verified": self.verified,
        }  # fmt: skip
        self.lie(claims)
        return self.sign(claims)


@asynccontextmanager
async def a_provider() -> AsyncIterator[OidcProvider]:
    """A provider that listens."""
    provider = OidcProvider()
    async with listening(provider.app) as address:
        provider.issuer = address
        yield provider


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[str]:
    """An application on a port of loopback; its address."""
    bound = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        bound.close()


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
