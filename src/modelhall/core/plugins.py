"""Plug-ins: one file, no registration. The file's name, with '-' for '_', is its name in a hall file (a metric keeps
its '_').

What there is can be listed, and what options it takes can be read, without importing it: the control plane
checks a hall file without loading torch. Files whose name begins with '_' are not plug-ins.
"""

from __future__ import annotations

import ast
import importlib
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple

from pydantic import TypeAdapter, ValidationError

from modelhall.core.errors import Broken, Rejected
from modelhall.core.names import did_you_mean

PLACES = {
    "task": "modelhall.tasks",
    "network": "modelhall.networks",
    "step": "modelhall.stages.prepare.steps",
    "format": "modelhall.stages.prepare.formats",
    "loss": "modelhall.stages.train.losses",
    "optimizer": "modelhall.stages.train.optimizers",
    "rate": "modelhall.stages.train.schedules",
    "metric": "modelhall.stages.evaluate.metrics",
    "compression": "modelhall.stages.compress.methods",
    "engine": "modelhall.serving.engines",
    "balance": "modelhall.policy.balance",
    "scale": "modelhall.policy.scale",
    "schedule": "modelhall.policy.schedule",
    "sensor": "modelhall.adapters.sensor",
    "placement": "modelhall.policy.placement",
    "source": "modelhall.adapters.source",
    "blobs": "modelhall.adapters.blobs",
    "signature": "modelhall.adapters.signature",
}
"""Where each sort of plug-in lives."""

STEP = ("apply", "fit", "mark", "decide", "vary", "mix")
"""The functions a preparation step may have; its options are the keyword-only parameters of all of them."""

_REQUIRED = object()

PACKAGE = Path(__file__).parents[1]

ELSEWHERE = {"network": "modelhall.networks"}
"""Sorts that have more names than files of their own. The module here has a function `elsewhere()` which maps
each further name to the file in its place that answers for it, and imports nothing heavy."""


def names(sort: str) -> list[str]:
    """All plug-ins of one sort, sorted, without importing any."""
    return sorted(_files(sort))


def load(sort: str, name: str, *, field: str | None = None) -> ModuleType:
    """Import one plug-in; raises Rejected, listing what there is, when there is none of that name."""
    path = _path(sort, name, field)
    return importlib.import_module(
        f"{PLACES[sort]}.{path.parent.name if path.stem == '__init__' else path.stem}"
    )


def load_for_url(sort: str, url: str, *, default: str | None = None, field: str | None = None) -> ModuleType:
    """Import the plug-in named by the scheme of `url`; `default` answers for a URL without one.

    Stages reach blobs and sources this way: they are neighbours of the adapters and do not import them.
    """
    scheme, separator, _ = url.partition("://")
    if not separator and default is None:
        raise Rejected(f"{url!r} is not a URL; {did_you_mean('', names(sort))}", field=field)
    return load(sort, scheme if separator else str(default), field=field)


def check(sort: str, name: str, *, field: str | None = None) -> None:
    """Raise Rejected unless there is a plug-in `name`."""
    _path(sort, name, field)


def check_options(
    sort: str, name: str, functions: str | tuple[str, ...], options: dict[str, Any], *, field: str
) -> None:
    """Check options against the keyword-only parameters of a plug-in's functions, without importing it.

    Raises Rejected for one that is not there, has the wrong type, or is required and missing.
    """
    functions = (functions,) if isinstance(functions, str) else functions
    parameters = _parameters(_path(sort, name, field), functions)
    for option, value in options.items():
        if option not in parameters:
            raise Rejected(
                f"{name} has no option {option!r}; {did_you_mean(option, parameters)}",
                field=f"{field}.{option}",
            )
        try:
            parameters[option].type.validate_python(value, strict=True)
        except ValidationError as error:
            raise Rejected(f"{error.errors()[0]['msg']}, not {value!r}", field=f"{field}.{option}") from None
    missing = [
        option for option, parameter in parameters.items() if parameter.required and option not in options
    ]
    if missing:
        raise Rejected(f"{name} needs the option {missing[0]!r}", field=field)


def sources_of(
    sort: str, name: str, functions: tuple[str, ...]
) -> dict[str, Literal["File", "Rows", "Model"]]:
    """The options of a plug-in that name a source, and what is made of it: parameters annotated `File`, `Rows` or
    `Model`."""
    parameters = _parameters(_path(sort, name, None), functions)
    return {option: found.source for option, found in parameters.items() if found.source}


def options_for(sort: str, name: str, function: str, options: dict[str, Any]) -> dict[str, Any]:
    """Those of `options` that one of a plug-in's functions takes."""
    taken = _parameters(_path(sort, name, None), (function,))
    return {option: value for option, value in options.items() if option in taken}


def has(sort: str, name: str, function: str) -> bool:
    """Whether a plug-in's file has a function of this name, without importing it."""
    body = _tree(_path(sort, name, None)).body
    return any(isinstance(node, ast.FunctionDef) and node.name == function for node in body)


def constant(sort: str, name: str, constant: str, default: Any = _REQUIRED) -> Any:
    """What a plug-in's file says by `NAME = …` with a plain value, without importing it. Raises Broken for one that
    says nothing, unless there is a `default`."""
    for node in _tree(_path(sort, name, None)).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [constant]:
            return ast.literal_eval(node.value)
    if default is not _REQUIRED:
        return default
    raise Broken(f"{sort} {name!r} says nothing of its {constant}")


class _Parameter(NamedTuple):
    type: TypeAdapter[Any]
    required: bool
    source: Any
    """`File`, `Rows` or `Model` where it names a source, else None."""


_TYPES = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "list": list,
    "dict": dict,
    "Literal": Literal,
    "Any": Any,
    "File": str,
    "Rows": str,
    "Model": str,
}


@cache
def _parameters(path: Path, functions: tuple[str, ...]) -> dict[str, _Parameter]:
    """The keyword-only parameters of those of `functions` that the file at `path` has, read from its source."""
    found = [
        node for node in _tree(path).body if isinstance(node, ast.FunctionDef) and node.name in functions
    ]
    if not found:
        raise Broken(f"{path} defines no function {' or '.join(map(repr, functions))}")
    parameters = {}
    for node in found:
        for arg, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
            parameters[arg.arg] = _Parameter(TypeAdapter(_type(arg)), default is None, _source(arg))
    return parameters


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _type(argument: ast.arg) -> Any:
    """The type an annotation such as `list[int] | None` stands for; only plain JSON types are known."""
    if argument.annotation is None:
        return Any
    # The source is the hall's own file, and the names it may use are the ones listed.
    code = compile(ast.Expression(argument.annotation), "annotation", "eval")
    return eval(code, {"__builtins__": {}}, _TYPES)  # noqa: S307


def _source(argument: ast.arg) -> str | None:
    named = {node.id for node in ast.walk(argument) if isinstance(node, ast.Name)}
    return next((source for source in ("File", "Rows", "Model") if source in named), None)


def _path(sort: str, name: str, field: str | None) -> Path:
    found = _files(sort)
    if name not in found:
        raise Rejected(f"no {sort} {name!r}; {did_you_mean(name, found)}", field=field)
    return found[name]


@cache
def _files(sort: str) -> dict[str, Path]:
    # By its path, since even finding a package by name imports the packages around it.
    folder = PACKAGE.joinpath(*PLACES[sort].split(".")[1:])
    modules = folder.iterdir() if folder.is_dir() else ()
    more = importlib.import_module(ELSEWHERE[sort]).elsewhere() if sort in ELSEWHERE else {}
    own = {
        _name(sort, path): path / "__init__.py" if path.is_dir() else path
        for path in modules
        if not path.name.startswith(("_", ".")) and (path.suffix == ".py" or (path / "__init__.py").exists())
    }
    return {**more, **own}


def _name(sort: str, path: Path) -> str:
    # Metrics keep the names that scikit-learn and its kind gave them, such as f1_macro.
    return path.stem if sort == "metric" else path.stem.replace("_", "-")
