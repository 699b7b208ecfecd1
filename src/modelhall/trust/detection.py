"""Detection that acts: rules over what the doors noticed, and what each says should be done.

A rule counts signals of one kind within a window, each under a threshold that is data, and gives verdicts; it knows
no clock, no file and no token. Verdicts are carried out by a `Defence`, which the watchman calls (`app/watchman.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from modelhall.trust.directory import TOKEN
from modelhall.trust.limits import Recent
from modelhall.trust.signals import Signal

CANARY = "canary "
"""How the name of an identity begins whose token was only issued to be found."""
MOST_WATCHED = 8_192
SLICES = 10
"""A window is counted in so many pieces, which bounds what is kept of each key."""


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """So many within so long is one too many."""

    count: int
    within_s: float


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """When each rule fires."""

    guessing: Threshold = field(default=Threshold(count=12, within_s=60.0))
    """Different credentials that nobody has, from one address."""
    spread: Threshold = field(default=Threshold(count=17, within_s=300.0))
    """Addresses that use one token."""
    probing: Threshold = field(default=Threshold(count=30, within_s=10.0))
    """Requests of one identity for what belongs to other projects."""
    lock_s: float = 900.0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What should be done, to whom, and why."""

    act: Literal["lock", "revoke", "suspend", "read-only", "alert"]
    subject: str
    reason: str
    until: float = 0.0
    """Of a lock, in seconds since the epoch."""


class Defence(Protocol):
    """Carries verdicts out. What is done already is done again without harm."""

    async def lock_address(self, address: str, until: float) -> None:
        """Let nobody in from an address, or a network, who was not known there before."""
        ...

    async def revoke(self, token: str) -> None:
        """Make a token useless, for ever."""
        ...

    async def suspend(self, token: str) -> None:
        """Make a token, or whoever it is, useless until an operator says otherwise."""
        ...

    async def read_only(self, reason: str) -> None:
        """Refuse every change to the hall from now on."""
        ...

    async def alert(self, message: str) -> None:
        """Tell whoever runs the hall."""
        ...


class Detector:
    """Applies the rules to one signal after the other."""

    def __init__(self, thresholds: Thresholds | None = None) -> None:
        self._thresholds = limits = thresholds or Thresholds()
        self._guesses = _Counter(limits.guessing)
        self._probes = _Counter(limits.probing)
        self._places: Recent[dict[str, float]] = Recent(MOST_WATCHED)
        self._rules: dict[str, Callable[[Signal], tuple[Verdict, ...]]] = {
            "unknown": self._guessing,
            "known": self._spread,
            "refused": self._probing,
            "canary": self._canary,
            "broken-chain": self._broken_chain,
        }

    def see(self, signal: Signal) -> tuple[Verdict, ...]:
        """What a signal, after those before it, calls for; mostly nothing."""
        return self._rules[signal.kind](signal)

    def _guessing(self, signal: Signal) -> tuple[Verdict, ...]:
        """Guessing locks the address. The sum of many addresses says nothing about any of them."""
        if not signal.place or not self._guesses.reached(signal.place, signal):
            return ()
        reason = (
            f"{self._thresholds.guessing.count} credentials that nobody has were tried from {signal.place}"
        )
        return (self._lock(signal, reason),)

    def _spread(self, signal: Signal) -> tuple[Verdict, ...]:
        """One token used from many addresses was stolen or passed round: it is revoked."""
        if not signal.place or not signal.who.startswith(TOKEN):
            return ()
        limit = self._thresholds.spread
        places = self._places.get(signal.who) or {}
        places[signal.place] = signal.at
        places = {place: at for place, at in places.items() if signal.at - at < limit.within_s}
        self._places.put(signal.who, places)
        if len(places) < limit.count:
            return ()
        self._places.drop(signal.who)
        reason = f"{signal.who} was used from {len(places)} addresses within {limit.within_s:g} s"
        return (Verdict(act="revoke", subject=signal.who, reason=reason),)

    def _probing(self, signal: Signal) -> tuple[Verdict, ...]:
        """Somebody who tries one door of another project after the other is suspended."""
        if not signal.who or not self._probes.reached(signal.who, signal):
            return ()
        limit = self._thresholds.probing
        reason = f"{signal.who} asked for what is not its own {limit.count} times within {limit.within_s:g} s"
        return (Verdict(act="suspend", subject=signal.who, reason=reason),)

    def _canary(self, signal: Signal) -> tuple[Verdict, ...]:
        """Whoever uses a token that was only issued to be found has been where he should not be."""
        reason = f"{signal.who or 'a canary'} was used from {signal.place or 'many addresses'}"
        alert = Verdict(act="alert", subject=signal.who, reason=reason)
        return (alert, self._lock(signal, reason)) if signal.place else (alert,)

    def _broken_chain(self, signal: Signal) -> tuple[Verdict, ...]:
        """A hall whose audit log does not hold together takes no orders until somebody has looked."""
        reason = f"the chain of the audit log is broken: {signal.who or 'see hall audit verify'}"
        return (
            Verdict(act="read-only", subject="hall", reason=reason),
            Verdict(act="alert", subject="hall", reason=reason),
        )

    def _lock(self, signal: Signal, reason: str) -> Verdict:
        until = signal.at + self._thresholds.lock_s
        return Verdict(act="lock", subject=signal.place, reason=reason, until=until)


class _Counter:
    """Counts the signals of each key over a sliding window."""

    def __init__(self, threshold: Threshold) -> None:
        self._threshold = threshold
        self._slices: Recent[dict[int, int]] = Recent(MOST_WATCHED)

    def reached(self, key: str, signal: Signal) -> bool:
        """Count a signal; True when that makes it one too many, after which the count begins anew."""
        now = int(signal.at / self._threshold.within_s * SLICES)
        slices = self._slices.get(key) or {}
        slices = {when: count for when, count in slices.items() if now - when < SLICES}
        slices[now] = slices.get(now, 0) + signal.count
        if sum(slices.values()) < self._threshold.count:
            self._slices.put(key, slices)
            return False
        self._slices.drop(key)
        return True


async def carry_out(verdict: Verdict, defence: Defence) -> None:
    """Have a verdict done by whoever can."""
    match verdict.act:
        case "lock":
            await defence.lock_address(verdict.subject, verdict.until)
        case "revoke":
            await defence.revoke(verdict.subject)
        case "suspend":
            await defence.suspend(verdict.subject)
        case "read-only":
            await defence.read_only(verdict.reason)
        case "alert":
            await defence.alert(verdict.reason)
