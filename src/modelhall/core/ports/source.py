"""Where a data set's rows come from before they are prepared. One file a scheme: `path`, `package`, `s3`…

A source finds files or fetches them; what is in them is left to the formats. What it may reach, and how large
anything may be, is the operator's word: it comes in as an `Access`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import AfterValidator, Field

from modelhall.core.kinds.base import Frozen

GIB = 2**30


def _checked(networks: tuple[str, ...]) -> tuple[str, ...]:
    for network in networks:
        ipaddress.ip_network(network)
    return networks


Networks = Annotated[tuple[str, ...], AfterValidator(_checked)]
"""Networks in CIDR form."""


class Limits(Frozen):
    """How large what is read may be. A source that goes past one is refused, so none can fill the machine."""

    download_bytes: int = Field(default=64 * GIB, gt=0)
    """Fetched from one address, all its files together."""
    unpacked_bytes: int = Field(default=64 * GIB, gt=0)
    """What one archive or packed file may unpack to."""
    unpacked_ratio: float = Field(default=200.0, gt=1)
    """How many times its packed size that may be. Text packs to a tenth, and hardly ever to a hundredth."""
    members: int = Field(default=1_000_000, gt=0)
    """Files in one archive."""
    line_bytes: int = Field(default=64 * 2**20, gt=0)
    """One line of text, or one row of a csv."""
    whole_bytes: int = Field(default=512 * 2**20, gt=0)
    """One file of a sort that can only be read as a whole: a picture, a sound, json, npz."""


class Reach(Frozen):
    """Which places a source may be fetched from."""

    networks: Networks = ()
    """Private networks, in CIDR form, that may be connected to; those of the Internet always may."""
    ports: tuple[int, ...] = (80, 443, 5432)
    s3_endpoint: str = ""
    """URL of what speaks S3; empty for Amazon's own."""
    hf_mirror: str = ""
    """A folder laid out as the cache of the Hugging Face hub; looked into before the hub itself is asked."""
    hf_endpoint: str = ""
    """URL of the Hugging Face hub; empty when only the mirror may be read."""


class SourceRules(Frozen):
    """The operator's word on sources, handed to whoever reads one."""

    limits: Limits = Field(default_factory=Limits)
    reach: Reach = Field(default_factory=Reach)


@dataclass(frozen=True, kw_only=True)
class Access:
    """All a source is given beside its URL."""

    rules: SourceRules = field(default_factory=SourceRules)
    folder: Path | None = None
    """Where what is fetched is put; it is there again for the next attempt. None while nothing may be fetched."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Values by name; a URL names the one it needs after its #, as `secret=NAME`."""
    query: str | None = None
    """What is asked of a database."""
    wanted: tuple[str, ...] = ()
    """Patterns of the names of the files that there is a use for; a source need not fetch any others. All if not
    said."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """One file of a source: where it can be read on this machine and how it is named in lineage."""

    path: Path
    name: str


class Source(Protocol):
    """A module with these functions, named after the URL scheme it serves."""

    def find(self, url: str, access: Access) -> list[Found]:
        """The files of `url`, in a fixed order, fetched if need be. Raises Rejected when there is none or it may
        not be reached, NotNow when it cannot be reached for the moment."""
        ...

    def fingerprint(self, url: str, access: Access) -> str:
        """A word that changes when the content may have changed; cheap enough to ask every few seconds.
        Raises as `find` does."""
        ...
