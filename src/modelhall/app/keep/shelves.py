"""All blobs of a hall, read once: which are damaged, and what of an artifact is not there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from modelhall.app.keep import Show
from modelhall.app.keep.known import Artifact
from modelhall.core.errors import Broken, NotFound
from modelhall.core.ports.blobs import Blobs

THREADS = 4


class Shelves:
    """The blobs of every project, and those from before they were kept apart, which are of project ""."""

    def __init__(self, by_project: Mapping[str, Blobs], show: Show) -> None:
        """Read every blob."""
        self._by_project = by_project
        found = {
            Artifact(project, blob.digest): blob
            for project, blobs in by_project.items()
            for blob in blobs.all()
        }
        self.count = len(found)
        self.size_bytes = sum(blob.size_bytes for blob in found.values())
        self.unsealed = sum(not blob.sealed for blob in found.values())
        self.bad: dict[Artifact, str] = {}
        """Those that are damaged, and why."""
        self._there = found.keys()
        done = 0
        with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as threads:
            for (place, blob), problem in zip(found.items(), threads.map(self._problem, found), strict=True):
                done += blob.size_bytes
                show("blobs", done, self.size_bytes)
                if problem:
                    self.bad[place] = problem

    def problem_of(self, artifact: Artifact) -> tuple[str, set[Artifact]]:
        """Why an artifact is not whole, empty when it is; and which damaged blobs are to blame."""
        place = self._place(artifact)
        if place in self.bad:
            return self.bad[place], {place}
        try:
            parts = self._blobs_of(artifact).files_of(artifact.digest)
        except (NotFound, Broken) as error:
            return error.message, set()
        places = [self._place(Artifact(artifact.project, part)) for part in parts]
        broken = {place for place in places if place in self.bad}
        missing = [place for place in places if place not in self._there]
        if missing and not broken:
            return self._problem(missing[0]) or f"no blob {missing[0].digest}", set()
        return next((self.bad[place] for place in places if place in broken), ""), broken

    def put_aside(self) -> tuple[str, ...]:
        """Put aside what is damaged; return what, as PROJECT/DIGEST."""
        put_aside = []
        for place in sorted(self.bad):
            # Looked at again: it may have been put anew since, and what is whole stays.
            if self._problem(place):
                self._by_project[place.project].quarantine(place.digest)
                put_aside.append("/".join(filter(None, place)))
        return tuple(put_aside)

    def _problem(self, place: Artifact) -> str:
        try:
            self._blobs_of(place).verify(place.digest)
        except Broken as error:
            return error.message
        except NotFound:
            return ""  # put aside by somebody else since it was listed
        return ""

    def _place(self, artifact: Artifact) -> Artifact:
        """Where a project's blob lies: with its own, or with those from before."""
        older = Artifact("", artifact.digest)
        return older if artifact not in self._there and older in self._there else artifact

    def _blobs_of(self, artifact: Artifact) -> Blobs:
        return self._by_project.get(artifact.project, self._by_project[""])
