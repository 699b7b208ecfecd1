"""How connections are encrypted: TLS 1.2 and newer, with ciphers that keep what was said secret if a key is lost.

Certificates are made in `certificates.py`; here they are only used, so that a client need not load what makes them.
"""

from __future__ import annotations

import ssl
from functools import cache
from pathlib import Path

from modelhall.core.errors import Rejected

FOLDER = "tls"
"""Within the home."""
CA, CA_KEY, SERVER, SERVER_KEY = "ca.pem", "ca.key", "server.pem", "server.key"
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2; those of 1.3 are all sound."""


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """What a door speaks TLS with; raises Rejected when the files do not do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    load_into(context, certificate, key)
    return context


def load_into(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Have new connections see this certificate; those that are open go on. Raises Rejected."""
    try:
        # A key with a passphrase would make OpenSSL ask for it at a terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ssl.SSLError) as error:
        raise Rejected(
            f"{certificate} with the key {key} cannot be used: {error.strerror or error}",
            field="tls_certificate",
        ) from None


def client_context(authority: Path | None = None) -> ssl.SSLContext:
    """What a client checks a hall with: against this authority alone, or against those the machine trusts."""
    return _trusting_the_machines() if authority is None else _trusting(authority)


@cache
def _trusting_the_machines() -> ssl.SSLContext:
    """Reading all that a machine trusts takes longer than asking a hall: it is done once a process."""
    return _trusting(None)


def _trusting(authority: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Rejected(f"{authority} holds no certificate of an authority: {reason}", field="ca") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
