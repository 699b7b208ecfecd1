"""What agents are told that a launcher puts on machines: where the hall is, and a token of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import psutil

from modelhall.app.nodes import Nodes
from modelhall.core.errors import Rejected
from modelhall.core.node_line import Posting
from modelhall.settings import Settings
from modelhall.trust import tls
from modelhall.trust.sites import is_on_loopback


class NodePostings:
    """Postings on one cluster of machines."""

    def __init__(
        self,
        settings: Settings,
        nodes: Nodes,
        *,
        place: str,
        reached_at: Callable[[], str],
        catch_up: Callable[[], Awaitable[None]],
    ) -> None:
        """`reached_at` tells the URL at which the machines reach the hall; `place` is where agents keep their things.
        A new token is known to the doors after `catch_up`."""
        own = settings.home / tls.FOLDER / tls.CA
        self._ca = own if own.exists() else settings.ca
        self._nodes = nodes
        self._place = place
        self._reached_at = reached_at
        self._catch_up = catch_up

    @property
    def hall(self) -> str:
        """Where agents dial in, now."""
        return self._reached_at()

    async def make(self, node: str, address: str) -> Posting:
        """For the agent of a node; what was made for it before is good no more. Raises Rejected when the hall is
        reached on its own machine alone, and the node is another."""
        _check_reached(self.hall, address)
        token = await self._nodes.admit(node)
        await self._catch_up()
        return Posting(
            hall=self.hall,
            ca=self._ca.read_text() if self._ca and self.hall.startswith("https") else None,
            node=node,
            token=token,
            address=address,
            place=f"{self._place}-{node}",
        )


def _check_reached(hall: str, address: str) -> None:
    own = {one.address for found in psutil.net_if_addrs().values() for one in found}
    if is_on_loopback(hall) and not is_on_loopback(f"//{address}") and address not in own:
        raise Rejected(
            f"the hall is reached at {hall}, which is this machine alone, and the node is at {address}; give the "
            "hall an address with `host`, or tell nodes of one with `ray_hall`",
            field="ray_hall",
        )
