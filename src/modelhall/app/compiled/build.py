"""`python -m modelhall.app.compiled.build`: compile the request path.

It needs mypyc (`pip install mypy`) and a C compiler, at this moment only. What is there before stays in use until all
of the new is there; a gateway takes it up when it is started the next time.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from modelhall.app.compiled.sources import FOLDER, GROUP, MARK, MODULES, PACKAGE, file_of, print_of_sources
from modelhall.core.errors import HallError, Rejected

_COMPILER = str(sysconfig.get_config_var("CC") or "cc").split()[0]
CHECKED = ("--config-file=", "--ignore-missing-imports", "--follow-imports=silent")
"""Types are checked by `make types`; here they are what machine code is made by."""


def main() -> None:
    try:
        build(FOLDER)
    except HallError as error:
        sys.exit(f"hall: {error}")
    print(f"compiled into {FOLDER}")  # noqa: T201


def build(folder: Path) -> None:
    """Compile into a folder, in place of what is there. Raises Rejected when something that it takes is not here."""
    if not _there_is_a_compiler():
        raise Rejected(
            f"there is no C compiler {_COMPILER!r} here; the gateway runs as plain Python without one"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    mark = (
        print_of_sources()
    )  # before: a file that is edited meanwhile makes what comes of this one of the old
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        made = _compiled(Path(place))
        (made / MARK).write_text(mark)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)


def can_compile() -> bool:
    """Whether all that compiling takes is here."""
    return _there_is_a_compiler() and importlib.util.find_spec("mypyc") is not None


def _there_is_a_compiler() -> bool:
    return shutil.which(_COMPILER) is not None


def _compiled(place: Path) -> Path:
    """Everything compiled, in a folder below `place`."""
    try:
        # Imported here because only who compiles has them.
        from mypyc.build import mypycify
        from setuptools import setup
    except ImportError as error:
        raise Rejected(
            f"compiling needs a package that is not there ({error}); pip install mypy setuptools"
        ) from None
    os.chdir(PACKAGE.parent)  # a module's name is its path from here
    sources = [f"{module.replace('.', '/')}.py" for module in MODULES]
    extensions = mypycify([*CHECKED, *sources], group_name=GROUP, target_dir=str(place / "c"))
    built = place / "built"
    setup(
        name=GROUP,
        packages=[],
        ext_modules=extensions,
        script_args=[
            "--quiet",
            "build_ext",
            "--build-lib",
            str(built),
            "--build-temp",
            str(place / "objects"),
        ],
    )
    return _flat(built, place / "made", (*MODULES, f"{GROUP}__mypyc"))


def _flat(built: Path, made: Path, modules: Sequence[str]) -> Path:
    """Each module's file beside the others, under the module's whole name."""
    made.mkdir()
    for module in modules:
        *parents, last = module.split(".")
        built.joinpath(*parents, file_of(last)).rename(made / file_of(module))
    return made


if __name__ == "__main__":
    main()
