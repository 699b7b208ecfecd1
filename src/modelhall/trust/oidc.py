"""A provider of single sign-on, spoken to by OpenID Connect's authorization code flow with PKCE.

Nothing is believed that the provider's own key has not signed for this hall and this attempt. Its endpoints and keys
are what it says of itself at the issuer that the operator has set. Who the person is here, is left to
`app/single_sign_on.py`. Authlib does the talking; it comes with the extra `sso`.
"""

from __future__ import annotations

import hmac
import secrets
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from modelhall.core import strict_json
from modelhall.core.errors import Denied, NotNow, Rejected
from modelhall.core.ports.clock import Clock
from modelhall.trust.attempts import LIFE_S, Attempt
from modelhall.trust.sites import is_on_loopback

ALGORITHMS = tuple(f"{family}{bits}" for family in ("RS", "PS", "ES") for bits in (256, 384, 512))
"""Signatures by a key of which only the public half is known here. `none` is not among them, and what is made with
a shared secret is not, for which a public key could be passed off."""
KEY_TYPES = ("RSA", "EC")
LEEWAY_S = 30
KNOWN_S = 3600.0
KEYS_AGAIN_S = 30.0
"""A key that is not known may be a new one; but not more often is the provider asked for it."""
LARGEST_BYTES = 2**20
TIMEOUT_S = 10.0


class Person(NamedTuple):
    """Whom the provider vouches for."""

    email: str
    """Verified by the provider."""
    subject: str
    """What the provider calls him for ever."""


class _Discovered(NamedTuple):
    at: float
    authorization: str
    token: str
    keys: str


class Provider:
    """One provider."""

    def __init__(
        self, *, issuer: str, client_id: str, client_secret: Callable[[], Awaitable[str]], clock: Clock
    ) -> None:
        """`client_secret` gives the secret that the provider knows this hall by, or "". Raises Rejected for an issuer
        that is no https address."""
        self._is_local = is_on_loopback(issuer)
        self._issuer = self._checked(issuer, "oidc_issuer")
        self._client_id = client_id
        self._client_secret = client_secret
        self._clock = clock
        self._tls = ssl.create_default_context()
        self._discovered: _Discovered | None = None
        self._keys: tuple[float, KeySet] | None = None

    async def begin(self, callback: str) -> tuple[str, Attempt]:
        """The address that a browser is sent to, and what is to be known when it comes back. Raises NotNow."""
        attempt = Attempt(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            callback=callback,
            until=self._clock.now() + LIFE_S,
        )
        async with self._client("") as client:
            found = await self._endpoints(client)
            address, _ = client.create_authorization_url(
                found.authorization,
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
                redirect_uri=callback,
            )
        return str(address), attempt

    async def person(self, attempt: Attempt, query: Mapping[str, str]) -> Person:
        """Whom the provider's answer is about; `query` is what the browser brought back. Raises Denied (401) for an
        answer that does not hold, NotNow when the provider cannot be asked."""
        self._check_answer(attempt, query)
        async with self._client(await self._client_secret()) as client:
            found = await self._endpoints(client)
            told = await self._redeem(client, found.token, attempt, query["code"])
            claims = await self._claims(client, found.keys, told, attempt)
        email = claims.get("email")
        if not isinstance(email, str) or claims.get("email_verified") is not True:
            raise Denied("the provider has not verified an e-mail address of yours", status=401)
        return Person(email, str(claims["sub"]))

    def _check_answer(self, attempt: Attempt, query: Mapping[str, str]) -> None:
        if not hmac.compare_digest(query.get("state", "").encode(), attempt.state.encode()):
            raise Denied("the answer is not to what this browser asked; begin anew", status=401)
        if query.get("iss", self._issuer) != self._issuer:
            raise Denied(f"the answer is of {query['iss'][:80]!r}, not of {self._issuer!r}", status=401)
        if "code" not in query:
            raise Denied(f"the provider says {query.get('error', 'nothing')[:80]!r}", status=401)

    async def _redeem(
        self, client: AsyncOAuth2Client, address: str, attempt: Attempt, code: str
    ) -> Mapping[str, Any]:
        try:
            told = await client.fetch_token(
                address,
                grant_type="authorization_code",
                code=code,
                code_verifier=attempt.verifier,
                redirect_uri=attempt.callback,
            )
        except OAuthError as error:
            raise Denied(f"the provider says {str(error.error)[:80]!r}", status=401) from None
        except (httpx2.HTTPError, ValueError) as error:
            raise _away(error) from None
        return dict(told)

    async def _claims(
        self, client: AsyncOAuth2Client, keys_at: str, told: Mapping[str, Any], attempt: Attempt
    ) -> CodeIDToken:
        """What the identity token says, once it is known to be the provider's, for this hall, and of this attempt."""
        token = await self._verified(client, keys_at, str(told.get("id_token", "")))
        claims = CodeIDToken(
            token.claims,
            token.header,
            options={
                "iss": {"essential": True, "value": self._issuer},
                "aud": {"essential": True, "value": self._client_id},
            },
            params={
                "nonce": attempt.nonce,
                "client_id": self._client_id,
                "access_token": told.get("access_token"),
            },
        )
        try:
            claims.validate(now=int(self._clock.now()), leeway=LEEWAY_S)
        except (JoseError, TypeError, ValueError) as error:
            raise _false(error) from None
        return claims

    async def _verified(self, client: AsyncOAuth2Client, keys_at: str, id_token: str) -> jwt.Token:
        """The token, if one of the provider's keys has signed it; a key that is not known may be new."""
        known = self._keys
        keys = known[1] if known is not None and self._age(known[0]) < KNOWN_S else None
        if keys is not None:
            try:
                return jwt.decode(id_token, keys, algorithms=ALGORITHMS)
            except (JoseError, ValueError) as error:
                if known is not None and self._age(known[0]) < KEYS_AGAIN_S:
                    raise _false(error) from None
        keys = await self._fetched_keys(client, keys_at)
        try:
            return jwt.decode(id_token, keys, algorithms=ALGORITHMS)
        except (JoseError, ValueError) as error:
            raise _false(error) from None

    async def _fetched_keys(self, client: AsyncOAuth2Client, address: str) -> KeySet:
        found = await _fetched(client, address)
        fit = [
            key
            for key in found.get("keys", ())
            if key.get("kty") in KEY_TYPES and key.get("use", "sig") == "sig"
        ]
        try:
            keys = KeySet.import_key_set({"keys": fit})
        except (JoseError, ValueError) as error:
            raise _away(error) from None
        self._keys = (self._clock.monotonic(), keys)
        return keys

    async def _endpoints(self, client: AsyncOAuth2Client) -> _Discovered:
        """What the issuer says of itself; fetched from there alone, and asked again now and then."""
        known = self._discovered
        if known is not None and self._age(known.at) < KNOWN_S:
            return known
        address = f"{self._issuer.removesuffix('/')}/.well-known/openid-configuration"
        found = await _fetched(client, address)
        if found.get("issuer") != self._issuer:
            raise Rejected(
                f"{address} is of the issuer {found.get('issuer')!r}; set that as `oidc_issuer`, letter by letter",
                field="oidc_issuer",
                status=502,
            )
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        self._discovered = _Discovered(
            self._clock.monotonic(), *(self._checked(str(found.get(name, "")), name) for name in names)
        )
        return self._discovered

    def _checked(self, address: str, field: str) -> str:
        """The address, if nobody on the way can read or change what is sent there; raises Rejected."""
        is_safe = urlsplit(address).scheme == "https" or (self._is_local and is_on_loopback(address))
        if not is_safe or not urlsplit(address).hostname:
            raise Rejected(f"a provider is spoken to by https, not at {address!r}", field=field)
        return address

    def _age(self, at: float) -> float:
        return self._clock.monotonic() - at

    def _client(self, secret: str) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            client_id=self._client_id,
            client_secret=secret,
            scope="openid email",
            code_challenge_method="S256",
            verify=self._tls,
            timeout=TIMEOUT_S,
            trust_env=False,
        )


async def _fetched(client: AsyncOAuth2Client, address: str) -> dict[str, Any]:
    """A JSON object of the provider's; redirects are not followed. Raises NotNow."""
    body = b""
    try:
        async with client.stream("GET", address, withhold_token=True) as answer:
            answer.raise_for_status()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > LARGEST_BYTES:
                    raise ValueError(f"{address} has more than {LARGEST_BYTES} bytes")
        found = strict_json.loads(body)
    except (httpx2.HTTPError, ValueError, Rejected) as error:
        raise _away(error) from None
    if not isinstance(found, dict):
        raise _away(ValueError(f"{address} is no object"))
    return found


def _away(error: Exception) -> NotNow:
    return NotNow(f"the provider of single sign-on does not answer as one: {error!r}"[:500], delay_s=5.0)


def _false(error: Exception) -> Denied:
    return Denied(f"the provider's identity token does not hold: {error}"[:300], status=401)
