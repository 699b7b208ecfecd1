"""A real PostgreSQL server for tests: found or installed, started in a folder of its own, stopped at the end."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from from_debian import found_or_installed

PASSWORD = "open-sesame"
START_S = 60.0


@contextlib.contextmanager
def running() -> Iterator[RealPostgres]:
    """A server that runs until the block ends. Raises LookupError with one line when there cannot be one."""
    programs = found_or_installed("postgresql", _programs)
    with tempfile.TemporaryDirectory(prefix="hall-pg-", ignore_cleanup_errors=True) as folder:
        server = RealPostgres(programs, Path(folder))
        server.start()
        try:
            yield server
        finally:
            # Nobody will read what it would put in order first.
            server.stop(immediately=True)


class RealPostgres:
    """One server, reached with a password over a socket in its folder: no port, and nobody else gets there."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._numbers = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None
        # The server refuses to be run by root.
        self._user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        self._initialise()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def new_url(self) -> str:
        """The URL of an empty place in a database that others have places in too, which is cheaper than a new one."""
        name = f"place{next(self._numbers)}"
        self.ask("postgres", f"CREATE SCHEMA {name}")
        return f"{self.url('postgres')}&options=-csearch_path%3D{name}"

    def new_database(self) -> str:
        """The URL of a database that is empty."""
        name = f"hall{next(self._numbers)}"
        self.ask("postgres", f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url(name)

    def url(self, database: str) -> str:
        return f"postgresql://hall:{PASSWORD}@/{database}?host={self._folder}"

    def ask(self, database: str, sql: str) -> list[tuple[object, ...]]:
        """What the server answers to `sql`."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start it, and come back when it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._programs / "postgres", "-D", self._folder / "data",
                    "-c", "listen_addresses=", "-c", f"unix_socket_directories={self._folder}",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder, **self._as_its_user(),
            )  # fmt: skip
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.ask("postgres", "SELECT 1")
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise LookupError(f"PostgreSQL does not start: {error}; {self._log()}") from error
                time.sleep(0.02)

    def stop(self, *, immediately: bool = False) -> None:
        """End it: in order, or as `pg_ctl stop -m immediate` does, which leaves all to be repaired at the start."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT if immediately else signal.SIGINT)
        self._process.wait(START_S)

    def _initialise(self) -> None:
        word = self._folder / "password"
        word.write_text(PASSWORD)
        word.chmod(0o644)
        done = subprocess.run(
            [
                self._programs / "initdb", "-D", self._folder / "data", "--username=hall", "--encoding=UTF8",
                "--locale=C", "--auth=scram-sha-256", f"--pwfile={word}", "--no-sync",
            ],
            capture_output=True, text=True, cwd=self._folder, check=False, **self._as_its_user(),
        )  # fmt: skip
        if done.returncode != 0:
            raise LookupError(f"PostgreSQL cannot be set up: {done.stderr.strip().splitlines()[-1:]}")

    def _as_its_user(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-500:]


def _programs() -> Path | None:
    """The folder with the server's programs, of the newest version."""
    found = shutil.which("postgres")
    if found is not None and shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return max(versions, key=lambda path: float(path.parent.name), default=None)
