"""Errors say who must act: the caller (`Rejected`), time (`NotNow`) or us (`Broken`).

Every message states what happened, the value seen and what would do. Doors turn the class into an HTTP
status or an exit code; nobody else needs to know which.
"""

from __future__ import annotations

from collections.abc import Iterable


class HallError(Exception):
    """Anything the hall says no to, or fails at, in its own words."""

    who = "us"
    status = 500
    exit_code = 70

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        """Dotted path of the field that is wrong, such as `train.epochs`; None when no field is to blame."""


class Rejected(HallError):
    """The request is wrong; the caller must change it."""

    who = "caller"
    status = 400
    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        file: str | None = None,
        line: int | None = None,
        status: int = 400,
    ) -> None:
        super().__init__(message, field=field)
        self.file = file
        self.line = line
        self.status = status

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        parts = [part for part in (where, self.field, self.message) if part]
        return ": ".join(parts)


class NotFound(Rejected):
    """What was named is not there."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message, field=field, status=404)


class NotYours(NotFound):
    """What was named is in a project that the caller has no part in; he is told the same when there is no such
    project."""

    def __init__(self, message: str, *, project: str, field: str | None = None) -> None:
        super().__init__(message, field=field)
        self.project = project


class Conflict(Rejected):
    """The write rests on a revision that is no longer the newest, or on something still in use."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message, field=field, status=409)


class Denied(Rejected):
    """The caller has not shown who he is (401) or may not do this (403)."""

    def __init__(self, message: str, *, status: int = 403) -> None:
        super().__init__(message, status=status)


class NotNow(HallError):
    """The same request may succeed later; `delay_s` says when to ask again."""

    who = "time"
    status = 503
    exit_code = 1

    def __init__(self, message: str, *, delay_s: float) -> None:
        super().__init__(message)
        self.delay_s = delay_s


class Full(NotNow):
    """There is no room left on the disk; what is stored can still be read, and writes go on once there is."""

    status = 507


class TooMany(NotNow):
    """More than one caller may ask for, or too many failed attempts to get in."""

    status = 429


class OverLimit(TooMany):
    """A limit that was declared is used up for now."""

    def __init__(self, message: str, *, delay_s: float, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(message, delay_s=delay_s)
        self.headers = tuple(headers)
        """How much there is and when, in the words of HTTP."""


class OverBudget(OverLimit):
    """The money of this month is used up, or reserved for requests that are on their way."""


class Gone(Rejected):
    """The history asked for is no longer kept: read what is there now, and follow from its revision."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=410)


class Broken(HallError):
    """Our own fault: a bug, or damage to what the hall keeps."""


class Tampered(Broken):
    """What was written down for good has been changed, removed or added to since."""

    def __init__(self, message: str, *, entry: int | None = None) -> None:
        super().__init__(message)
        self.entry = entry
        """Number of the first entry that is wrong; None when there is no telling."""


class Unrecorded(Broken):
    """It was done, and the audit log could not be told so: the same request must not be sent again."""


class Failed(HallError):
    """The work was done as asked and did not succeed, such as a requirement that was not met."""

    who = "caller"
    status = 409
    exit_code = 1


class Stale(Conflict):
    """This control plane no longer leads: another one has taken over, and only that one may write and launch."""
