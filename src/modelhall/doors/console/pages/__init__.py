"""The pages, one file each: gather what there is, render one template."""

from __future__ import annotations

from modelhall.doors.console.pages import (
    alerts,
    audit,
    datasets,
    editor,
    ledger,
    models,
    nodes,
    overview,
    preferences,
    projects,
    runs,
    services,
    sign_in,
)

ROUTERS = tuple(
    one.router
    for one in (
        overview,
        datasets,
        models,
        services,
        runs,
        nodes,
        alerts,
        ledger,
        projects,
        audit,
        editor,
        sign_in,
        preferences,
    )
)
