"""Routes for the keys that seal what the hall keeps. Their ids and ages are told; no key ever is."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from modelhall.app.keys import Deleted, Rotated, Shown
from modelhall.doors.api.asking import TheHall

router = APIRouter(prefix="/api/v1/keys")


@router.get("")
async def show(hall: TheHall) -> Shown:
    """Which keys there are, by project, the oldest generation of each first."""
    return await asyncio.to_thread(hall.keys.show)


@router.post("/root/rotate")
async def rotate_root(hall: TheHall) -> Rotated:
    """Have a new root key wrap the projects' keys."""
    return await asyncio.to_thread(hall.keys.rotate_root)


@router.post("/projects/{project}/rotate")
async def rotate(project: str, hall: TheHall) -> Rotated:
    """Have a project's blobs and secrets be sealed with a new key. No content is written again."""
    return await hall.rotate_key(project)


@router.delete("/projects/{project}")
async def delete(project: str, hall: TheHall) -> Deleted:
    """Forget a project's keys, for good: what is sealed with them is readable never again."""
    return await asyncio.to_thread(hall.keys.delete, project)
