"""How a machine joins: by a ticket that a person carries over, which is good once and for a while.

mh_…            where the hall is vouched for by those the machine trusts, or is on this machine
mh_….BASE64     with the certificate of the hall's own authority behind it
"""

from __future__ import annotations

import base64
import binascii
import re
import ssl
from typing import NamedTuple

from modelhall.core.errors import Rejected
from modelhall.core.names import is_name
from modelhall.doors.agent.home import AgentHome, Membership
from modelhall.doors.wire import Wire
from modelhall.trust.tls import client_context
from modelhall.trust.tokens import SHAPE

_NO_LETTER = re.compile("[^a-z0-9-]+")


class Ticket(NamedTuple):
    """What a machine joins with."""

    token: str
    ca: str | None
    """PEM of who vouches for the hall, where nobody else does."""

    def __str__(self) -> str:
        """As one word, to be carried over."""
        if self.ca is None:
            return self.token
        return f"{self.token}.{base64.urlsafe_b64encode(ssl.PEM_cert_to_DER_cert(self.ca)).decode()}"

    @classmethod
    def read(cls, word: str) -> Ticket:
        """The inverse. Raises Rejected."""
        token, dot, rest = word.strip().partition(".")
        if not SHAPE.fullmatch(token):
            raise Rejected("the ticket is not whole: it is one word, mh_…, as `hall node join` prints it")
        if not dot:
            return cls(token, None)
        try:
            certificate = base64.b64decode(rest, altchars=b"-_", validate=True)
        except binascii.Error:
            certificate = b""
        if not certificate:
            raise Rejected("the certificate in the ticket is not whole; copy all of it")
        return cls(token, ssl.DER_cert_to_PEM_cert(certificate))


def join(home: AgentHome, hall: str, name: str, ticket: Ticket) -> Membership:
    """Join `hall` as node `name`, and keep what was agreed. Raises the errors of the hall: Denied for a ticket that
    was used or is too old, Conflict for a name that is taken."""
    trusts = None
    if ticket.ca is not None:
        trusts = ssl.create_default_context(cadata=ticket.ca)
    wire = Wire(hall, ticket.token, tls=trusts or client_context())
    try:
        joined = wire.ask("POST", "/api/v1/nodes/join", json={"name": name}).json()
    finally:
        wire.close()
    membership = Membership(hall=hall, name=name, token=joined["secret"])
    home.remember(membership, ticket.ca)
    return membership


def name_of(host: str) -> str:
    """A node's name for a machine that is called `host`."""
    found = _NO_LETTER.sub("-", host.partition(".")[0].lower()).strip("-")[:63]
    return found if is_name(found) else f"node-{found}"[:63].rstrip("-")
