"""Whether the hall is safe from mistakes and from others."""

from __future__ import annotations

from collections.abc import Iterator

from modelhall.app.doctor.facts import Facts, Finding
from modelhall.core.loopback import is_loopback
from modelhall.core.references import references


def everything_is_sealed(facts: Facts) -> Iterator[Finding]:
    """Is what lies on the disk encrypted."""
    if not facts.settings.seal:
        yield Finding(
            "soon",
            "hall",
            "blobs and secrets lie open on the disk",
            "`seal = true` encrypts what is written from then on",
        )


def versions_are_signed(facts: Facts) -> Iterator[Finding]:
    """Is only signed work served."""
    if not facts.settings.sign:
        yield Finding(
            "soon",
            "hall",
            "versions are not signed: what was changed on the disk would be served",
            "`sign = true`",
        )


def programs_are_confined(facts: Facts) -> Iterator[Finding]:
    """Does the kernel keep programs from the home."""
    if not facts.confines:
        yield Finding(
            "soon", "hall", "this kernel has no Landlock: what runs can read the hall's home as its user can",
            "Linux 5.13 or newer, or run nothing here whose authors you do not know",
        )  # fmt: skip


def people_have_names(facts: Facts) -> Iterator[Finding]:
    """Do people come by their own names."""
    if not is_loopback(facts.settings.host) and not facts.has_people:
        yield Finding(
            "soon", "hall", "it can be reached from elsewhere, and whoever comes shows the first token",
            "`hall user create NAME`, or single sign-on: then the audit log tells who did what",
        )  # fmt: skip


def tokens_end(facts: Facts) -> Iterator[Finding]:
    """Do tokens end by themselves."""
    for token in facts.tokens:
        document = token.document
        if document.expires_at is None and not document.canary:
            yield Finding(
                "soon" if document.operator else "someday", token.key.path,
                "it never expires" + (", and may do everything" if document.operator else ""),
                "replace it by one made with `--expires 90d`",
            )  # fmt: skip


def somebody_is_told(facts: Facts) -> Iterator[Finding]:
    """Is anybody told when something is wrong."""
    if facts.settings.alert_webhook is None and not facts.settings.alert_email_to:
        yield Finding(
            "someday",
            "hall",
            "alerts are written to the log alone",
            "`alert_webhook` or `alert_email_to` (docs/monitoring.md)",
        )


def models_are_held_to_something(facts: Facts) -> Iterator[Finding]:
    """Is every model that is served held to a requirement."""
    served = {key for service in facts.services for key in references(service.document).values()}
    for model in facts.models:
        if model.key in served and not model.document.require:
            yield Finding(
                "soon", model.key.path, "whatever a training makes of it is served: it has no `require`",
                "a figure it must reach, such as `require: {accuracy: \">= 0.9\"}`",
            )  # fmt: skip


QUESTIONS = (
    everything_is_sealed, versions_are_signed, programs_are_confined, people_have_names, tokens_end, somebody_is_told,
    models_are_held_to_something,
)  # fmt: skip
