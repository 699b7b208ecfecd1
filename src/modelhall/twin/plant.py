"""A whole hall in memory: apply, let time pass, break things, look."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from modelhall.adapters.launcher.virtual import Script, VirtualLauncher
from modelhall.adapters.store.memory import MemoryStore
from modelhall.adapters.traffic.memory import MemoryTraffic
from modelhall.control import declare, steering
from modelhall.control.loop import Loop
from modelhall.core.errors import Rejected
from modelhall.core.kinds import AnyResource, Document, Key
from modelhall.core.ports.launcher import Launch, NodeReport
from modelhall.core.ports.signature import SigningKeys
from modelhall.core.ports.store import Event, Hold, Lease
from modelhall.policy import deciding
from modelhall.twin.clock import OwnClock, VirtualClock
from modelhall.twin.scheduler import finish

SHORTEST_STEP_S = 0.05


class Plant:
    """The real loop over the memory store and the virtual launcher.

    `script` says how each launched attempt goes; `sources` maps a source URL to a word for its content. With `keys`,
    versions are signed.
    """

    def __init__(
        self,
        *,
        nodes: Sequence[NodeReport],
        script: Callable[[Launch], Script],
        sources: dict[str, str] | None = None,
        schedule: str = "fair",
        keys: SigningKeys | None = None,
    ) -> None:
        self.clock = VirtualClock()
        self.store = MemoryStore()
        self.launcher = VirtualLauncher(OwnClock(self.clock), nodes, script)
        self.traffic = MemoryTraffic()
        self.sources = sources or {}
        self._policy: deciding.Policy = deciding.policy(schedule, "best-fit")
        self._keys = keys
        self._uids = 0
        self._loop = self._new_loop()

    def apply(self, *documents: Document) -> list[declare.Outcome]:
        """Declare, as `hall apply` does; raises `declare.Refusal`."""
        return finish(
            declare.apply(
                self.store,
                documents,
                fingerprint=self._fingerprint,
                new_uid=self._new_uid,
                now=self.clock.now(),
            )
        )

    def delete(self, kind: str, name: str) -> None:
        key = Key(kind, "default", name)
        finish(self._loop.catch_up())
        users = [user.key for user in self._loop.view.users_of(key)]
        finish(declare.delete(self.store, key, users=users, now=self.clock.now()))

    def cancel(self, name: str) -> None:
        finish(declare.cancel(self.store, Key("run", "default", name), now=self.clock.now()))

    def steer(self, service: str, act: steering.Act) -> None:
        """Promote, abort, pause or resume what is on its way, as `hall rollout` does."""
        finish(steering.steer(self.store, Key("service", "default", service), act, now=self.clock.now()))

    def advance(self, seconds: float) -> None:
        """Let time pass, the loop doing whatever falls due in it."""
        end = self.clock.monotonic() + seconds
        while True:
            wait_s = max(SHORTEST_STEP_S, finish(self._loop.step()))
            left_s = end - self.clock.monotonic()
            if left_s <= 0:
                return
            self.clock.advance(min(wait_s, left_s))

    def restart(self) -> None:
        """Kill the control plane and start it again: all it kept in memory is gone."""
        self._loop = self._new_loop()

    def get(self, kind: str, name: str) -> AnyResource | None:
        return finish(self.store.get(Key(kind, "default", name)))

    def all(self, kind: str) -> list[AnyResource]:
        return finish(self.store.find(kind))

    def events(self) -> list[Event]:
        """Oldest first."""
        return finish(self.store.events(limit=100_000))[::-1]

    def _new_loop(self) -> Loop:
        before = finish(self.store.lease())
        epoch = before.epoch + 1 if before else 1
        finish(self.store.commit([Hold(lease=Lease("plant", epoch, 0), before=before)]))
        finish(self.launcher.fence(epoch))
        return Loop(
            store=self.store,
            launcher=self.launcher,
            clock=self.clock,
            new_uid=self._new_uid,
            fingerprint=self._fingerprint,
            policy=self._policy,
            epoch=epoch,
            keys=self._keys,
            traffic=self.traffic,
        )

    def _new_uid(self) -> str:
        self._uids += 1
        return f"uid-{self._uids}"

    async def _fingerprint(self, url: str, project: str) -> str:
        if url not in self.sources:
            raise Rejected(f"no file at {url}")
        return self.sources[url]
