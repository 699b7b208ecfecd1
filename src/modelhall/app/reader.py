"""Asking the program that reads artifacts (`stages/look`): what that takes is never loaded into this process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

from modelhall.core.errors import Broken, NotFound, Rejected
from modelhall.core.kinds import Key
from modelhall.core.looking import PROGRAM, Question
from modelhall.core.sealing import KeysOf
from modelhall.core.secrets import handed_keys
from modelhall.settings import Settings

CHUNK_BYTES = 1 << 16


class Reader:
    """Answers about artifacts of the project that a resource is in."""

    def __init__(self, settings: Settings, keys_of: KeysOf) -> None:
        self._settings = settings
        self._keys_of = keys_of

    async def answer(self, key: Key, ask: str, artifacts: Sequence[str], **more: Any) -> Any:
        """What is there to say; raises NotFound, Rejected for what cannot be asked, Broken for what is damaged."""
        text = b"".join([piece async for piece in self.pieces(key, ask, artifacts, **more)])
        said = json.loads(text)
        if "problem" in said:
            problem = said["problem"]
            if problem["who"] != "caller":
                raise Broken(f"{key} cannot be read: {problem['message']}")
            sort = NotFound if ask == "rows" else Rejected
            raise sort(problem["message"], field=problem["field"])
        return said["answer"]

    async def pieces(self, key: Key, ask: str, artifacts: Sequence[str], **more: Any) -> AsyncIterator[bytes]:
        """What the program says; raises Broken when it fails. It ends when nobody listens any more."""
        question = Question(
            ask=ask,
            blobs=f"{self._settings.blobs}/{key.project}",
            cache=self._settings.home / "cache" / key.project,
            artifacts=tuple(artifacts),
            **more,
        )
        keys = await asyncio.to_thread(self._keys_of, key.project)
        with handed_keys(keys) as handed:
            program = await asyncio.create_subprocess_exec(
                sys.executable, "-m", PROGRAM,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**self._settings.environment, **{name: str(number) for name, number in handed.items()}},
                pass_fds=tuple(handed.values()),
            )  # fmt: skip
        assert program.stdin is not None
        assert program.stdout is not None
        try:
            program.stdin.write(question.model_dump_json().encode())
            program.stdin.close()
            while piece := await program.stdout.read(CHUNK_BYTES):
                yield piece
            if code := await program.wait():
                raise Broken(f"{key} cannot be read (exit code {code})")
        finally:
            with contextlib.suppress(ProcessLookupError):
                program.kill()
            await program.wait()
