"""A machine whose power can be cut: a small ext4 file system, and processes that live on it until the cut.

The cut is ext4's own (`EXT4_IOC_SHUTDOWN` without a last flush): from that instant on nothing reaches the disk any
more, and whatever only the page cache held is lost, as when the plug is pulled. What it leaves out is a disk that
loses what it said it had synced. How a life's writes are judged is left to `store_lives.py` and the tests.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2
LONGEST_LIFE_S = 30
IMAGE_BYTES = 48 * 2**20
MARK = "modelhall-torture"

Say = Callable[[Any], None]
Life = Callable[..., None]
"""A life gets `say`, the folder of its disk, and what else it was given. It ends when it returns."""

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "modelhall.adapters.store.sqlite",
        "modelhall.adapters.blobs.folder",
        "modelhall.stages.train.checkpoint",
    ]
)


def tortured() -> bool:
    """Whether this is the long form, `make torture`."""
    return os.environ.get("MODELHALL_TORTURE") == "1"


def cuts(usual: int, torture: int) -> int:
    """How many cuts this run of the tests is to make."""
    return torture if tortured() else usual


def why_not(*, image: bool = False) -> str | None:
    """Why nothing can be mounted here, in a line; `image` if an ext4 image has to be. None if it can be."""
    if sys.platform != "linux":
        return "only Linux has the file systems this takes"
    if os.geteuid() != 0:
        return "only root may mount a file system"
    for needed in ("mount", "umount", *(["mkfs.ext4", "losetup"] if image else [])):
        if shutil.which(needed) is None:
            return f"there is no {needed}"
    try:
        with _machine() if image else tmpfs(2**20):
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"") or b""
        return f"no {'ext4 image' if image else 'tmpfs'} can be mounted: {said.decode().strip() or error}"


@contextlib.contextmanager
def tmpfs(size_bytes: int) -> Iterator[Path]:
    """A folder with room for so many bytes. A test that fails may still have files open there: they go with it."""
    with _mount_point() as folder:
        _run("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", MARK, str(folder))
        try:
            yield folder
        finally:
            _run("umount", "--lazy", str(folder))


def resize_tmpfs(folder: Path, size_bytes: int) -> None:
    """Give a mounted `tmpfs` more room, or less."""
    _run("mount", "-o", f"remount,size={size_bytes}", str(folder))


@contextlib.contextmanager
def machine() -> Iterator[Machine]:
    """A machine with an empty disk; it is gone afterwards, whatever happened."""
    with _machine() as one:
        yield one


class Machine:
    """One disk, and one process at a time that lives on it."""

    def __init__(self, image: Path, folder: Path) -> None:
        self._image = image
        self._folder = folder

    def replace_disk(self) -> None:
        """Go on with an empty disk."""
        _unmount(self._folder)
        with self._image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        _run("mkfs.ext4", "-q", "-F", str(self._image))
        self._mount()

    def live(self, life: Life, *given: Any) -> list[Any]:
        """Have a process live until it ends; return all that it said. The machine is started again afterwards, so
        the disk then holds what the life has left on it if its power was cut."""
        hearing, saying = _FORKS.Pipe(duplex=False)
        process = _FORKS.Process(target=_live, args=(life, saying, str(self._folder), given), daemon=True)
        process.start()
        saying.close()
        said = []
        # It ends in the middle of a word when its end is SIGBUS: memory of a file that can no longer be written.
        with hearing, contextlib.suppress(EOFError):
            while True:
                said.append(hearing.recv())
        process.join(LONGEST_LIFE_S)
        code = process.exitcode
        process.close()
        assert code in (0, -signal.SIGBUS), f"a life ended with {code}: {said[-1:]}"
        _unmount(self._folder)
        self._mount()
        return said

    def _mount(self) -> None:
        _run("mount", "-o", "loop,noatime", str(self._image), str(self._folder))


class Cut:
    """The end of a life's power, `after_s` from `start`.

    `is_made` is true from a moment before it on: a real machine says nothing after that, so what is acknowledged
    later counts for nothing. (It does happen: an fsync that the cut meets half-way may come back as done.) From
    `is_over` on every fsync fails, and whoever still acknowledges has not looked.
    """

    def __init__(self, folder: Path, after_s: float = 0.0) -> None:
        self._disk = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._after_s = after_s
        self.is_made = False
        self.is_over = False

    def start(self) -> None:
        threading.Thread(target=self._later, daemon=True).start()

    def now(self) -> None:
        self.is_made = True
        fcntl.ioctl(self._disk, SHUTDOWN, array.array("I", [NO_LOG_FLUSH]))
        self.is_over = True

    def _later(self) -> None:
        time.sleep(self._after_s)
        self.now()


def _live(life: Life, saying: Connection, folder: str, given: tuple[Any, ...]) -> None:
    signal.alarm(LONGEST_LIFE_S)
    code = 0
    try:
        life(saying.send, Path(folder), *given)
    except BaseException:  # noqa: BLE001 - told to the parent, which judges it
        saying.send(("failed", traceback.format_exc()))
        code = 1
    # At once: nobody closes a database when the power is cut.
    os._exit(code)


@contextlib.contextmanager
def _machine() -> Iterator[Machine]:
    memory = Path("/dev/shm")
    is_roomy = memory.is_dir() and shutil.disk_usage(memory).free > 4 * IMAGE_BYTES
    with _mount_point() as folder, tempfile.TemporaryDirectory(dir=memory if is_roomy else None) as beside:
        one = Machine(Path(beside) / "disk.img", folder)
        try:
            one.replace_disk()
            yield one
        finally:
            _unmount(folder)


@contextlib.contextmanager
def _mount_point() -> Iterator[Path]:
    """An empty folder to mount on. What tests that were killed have left mounted is cleared away first."""
    for point in _mounted():
        owner = re.search(rf"{MARK}-(\d+)-", point)
        if owner and not Path(f"/proc/{owner[1]}").exists():
            subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{MARK}-{os.getpid()}-"))
    try:
        yield folder
    finally:
        folder.rmdir()


def _unmount(folder: Path) -> None:
    """Unmount, which also detaches the loop device; at the worst as soon as nobody uses it any more."""
    deadline = time.monotonic() + 5
    while str(folder) in _mounted():
        if subprocess.run(["umount", str(folder)], check=False, capture_output=True).returncode == 0:
            return
        if time.monotonic() > deadline:
            _run("umount", "--lazy", str(folder))
            raise AssertionError(f"{folder} was still in use")
        time.sleep(0.01)


def _mounted() -> list[str]:
    return [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)
