"""Hall files: YAML text to documents, every mistake named with its file, line and field.

YAML is read by the rules of its 1.2 core schema (`5e-4` is a number, `no` is a word). Tags are refused,
a key may stand once, and aliases are followed only as far as `MAX_NODES`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path as FilePath
from types import NoneType
from typing import Any, get_args, get_origin

import yaml
from pydantic import ValidationError

from modelhall.core import dataset_sources
from modelhall.core.errors import Rejected
from modelhall.core.kinds import KINDS, Dataset, Document, Model
from modelhall.core.names import did_you_mean

MAX_BYTES = 4 * 2**20
MAX_NODES = 100_000
MAX_DEPTH = 50
MAX_BITS = 64

_INTEGER = re.compile(r"[-+]?[0-9]+")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in (
    "str", "int", "float", "bool", "null", "map", "seq", "timestamp", "merge", "value",
))  # fmt: skip

Path = tuple[str, ...]
"""Keys, and places in lists, from the document down to a field."""


@dataclass(frozen=True, kw_only=True)
class Declared:
    """One document and where its fields stand."""

    document: Document
    file: str
    lines: dict[Path, int]

    def blame(self, error: Rejected) -> Rejected:
        """The same error with the file and line of the field it is about."""
        return Rejected(
            error.message,
            field=error.field,
            file=self.file,
            line=_line(self.lines, error.field),
            status=error.status,
        )


def parse(text: str, file: str) -> list[Declared]:
    """All documents of a hall file; raises Rejected at the first mistake."""
    if len(text) > MAX_BYTES:
        raise Rejected(f"a hall file may have {MAX_BYTES} characters; this one has {len(text)}", file=file)
    try:
        roots = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Rejected(
            f"not YAML: {error.problem or error.context}", file=file, line=mark.line + 1 if mark else None
        ) from None
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        # The last two are what yaml says to an escape or a version that is out of every range.
        raise Rejected(f"not YAML: {' '.join(str(error).split())}", file=file) from None
    reader = _Reader(file)
    documents = [reader.read(root) for root in roots]
    return [_declare(data, lines, file) for data, lines in documents if data is not None]


def anchored(declared: Declared, folder: FilePath) -> Declared:
    """The same document with relative paths taken from `folder`, where its hall file lies."""
    document = declared.document
    if isinstance(document, Model) and document.base is not None and "://" not in document.base:
        base = str(folder / document.base)
        return replace(declared, document=document.model_copy(update={"base": base}))
    if not isinstance(document, Dataset):
        return declared
    urls = dataset_sources.sources(document)
    moved = {field: url if "://" in url else str(folder / url) for field, url in urls.items()}
    return replace(declared, document=dataset_sources.with_sources(document, moved))


def document_from_json(data: Any) -> Document:
    """One document from parsed JSON, checked as strictly as a hall file; raises Rejected."""
    if not isinstance(data, dict):
        raise Rejected(f"a document is a mapping with a kind and a name, not {type(data).__name__}")
    kind = data.get("kind")
    declared = [name for name, kind in KINDS.items() if kind.declared]
    if kind not in declared:
        if kind is None:
            raise Rejected(f"no kind is given; there is: {', '.join(declared)}", field="kind")
        raise Rejected(f"no kind {kind!r}; {did_you_mean(str(kind), declared)}", field="kind")
    try:
        # By way of JSON text, whose strict mode takes a list for a tuple but never a word for a number.
        text = json.dumps(data, allow_nan=False, ensure_ascii=False).encode()
        return KINDS[kind].document.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise _first_mistake(error, KINDS[kind].document) from None
    except UnicodeEncodeError:
        raise Rejected("a text holds half a character (a lone surrogate); write it whole") from None
    except ValueError as error:
        raise Rejected(f"not a finite number: {error}") from None
    except RecursionError:
        raise Rejected(f"a document has at most {MAX_DEPTH} levels; this one has far more") from None


def _declare(data: Any, lines: dict[Path, int], file: str) -> Declared:
    try:
        document = document_from_json(data)
    except Rejected as error:
        raise Rejected(error.message, field=error.field, file=file, line=_line(lines, error.field)) from None
    return Declared(document=document, file=file, lines=lines)


def _line(lines: dict[Path, int], field: str | None) -> int | None:
    """The line of `field`, or of the nearest thing around it."""
    # As one word, since a key may have dots of its own: `over: {train.epochs: [2, 3]}`.
    named = {".".join(path): line for path, line in lines.items()}
    place = field or ""
    while place and place not in named:
        place = place.rpartition(".")[0]
    return named.get(place)


def _first_mistake(error: ValidationError, document: type[Document]) -> Rejected:
    """Pydantic's first complaint in the hall's words."""
    mistakes = error.errors()
    # Of the branches of a union, the one that got furthest is the one that was meant.
    mistake = max(
        (m for m in mistakes if m["loc"][:1] == mistakes[0]["loc"][:1]), key=lambda m: len(m["loc"])
    )
    location = [str(part) for part in mistake["loc"] if not _is_union_branch(part)]
    field = ".".join(location)
    if mistake["type"] == "extra_forbidden":
        *around, name = mistake["loc"]
        location = [str(part) for part in around if not _is_union_branch(part)]
        said = did_you_mean(str(name), _fields_at(document, location))
        return Rejected(f"no field {str(name)!r} here; {said}", field=".".join([*location, str(name)]))
    message = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] == "missing":
        return Rejected("this field is required", field=field)
    if mistake["type"] != "value_error":
        shown = json.dumps(mistake["input"], ensure_ascii=False, default=str)
        message = f"{message}, not {shown[:80]}"
    return Rejected(message, field=field)


def _is_union_branch(part: str | int) -> bool:
    """Pydantic names the tried branch of a union in the location; people do not write it."""
    return isinstance(part, str) and (part in {"str", "int", "float"} or "[" in part)


def _fields_at(document: type[Document], path: list[str]) -> list[str]:
    """The field names of the model found by following `path`."""
    model: Any = document
    for part in path:
        field = getattr(model, "model_fields", {}).get(part)
        inner = get_args(model)[1] if get_origin(model) is dict else None
        model = _plain(field.annotation) if field else inner
    return list(getattr(model, "model_fields", {}))


def _plain(annotation: Any) -> Any:
    """What a field may hold besides None."""
    kinds = get_args(annotation)
    return next(kind for kind in kinds if kind is not NoneType) if NoneType in kinds else annotation


class _Loader(yaml.SafeLoader):
    """Builds nodes, no values; stops where there are too many, or too deep, before it has built them."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._nodes = self._level = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._nodes += 1
        self._level += 1
        if self._nodes > MAX_NODES or self._level > MAX_DEPTH + 1:
            problem = f"a hall file has at most {MAX_NODES} values and {MAX_DEPTH} levels"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=self.get_mark())
        node = super().compose_node(parent, index)
        self._level -= 1
        return node


class _Reader:
    """Builds plain values from YAML nodes and remembers lines; counts nodes over all documents."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._nodes = 0

    def read(self, root: yaml.Node) -> tuple[Any, dict[Path, int]]:
        lines: dict[Path, int] = {}
        return self._value(root, (), lines), lines

    def _value(self, node: yaml.Node, path: Path, lines: dict[Path, int]) -> Any:
        self._nodes += 1
        line = node.start_mark.line + 1
        lines.setdefault(path, line)
        if self._nodes > MAX_NODES or len(path) > MAX_DEPTH:
            raise Rejected(
                f"this file grows to more than {MAX_NODES} values or {MAX_DEPTH} levels "
                "when its aliases are followed",
                file=self._file,
                line=line,
            )
        if node.tag not in _PLAIN_TAGS:
            raise Rejected(f"tags such as {node.tag!r} are not read", file=self._file, line=line)
        if isinstance(node, yaml.MappingNode):
            return {
                key: self._value(value, (*path, key), lines) for key, value in self._pairs(node, path, lines)
            }
        if isinstance(node, yaml.SequenceNode):
            items = enumerate(node.value)
            return [self._value(item, (*path, str(place)), lines) for place, item in items]
        value = _scalar(node.value) if getattr(node, "style", None) is None else node.value
        wrong = _wrong_number(value)
        if wrong:
            said = f"{node.value[:40]} {wrong}"
            raise Rejected(said, field=".".join(path), file=self._file, line=line)
        return value

    def _pairs(
        self, node: yaml.MappingNode, path: Path, lines: dict[Path, int]
    ) -> Iterator[tuple[str, yaml.Node]]:
        seen: set[str] = set()
        for key_node, value in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise Rejected("a key must be a word", file=self._file, line=line)
            key = str(key_node.value)
            if key in seen:
                raise Rejected(f"the key {key!r} stands twice", file=self._file, line=line)
            seen.add(key)
            lines[(*path, key)] = line
            yield key, value


def _wrong_number(value: Any) -> str:
    """Why a value is a number that nobody can compute with; empty for every other."""
    if isinstance(value, float) and not isfinite(value):
        return "is not a finite number"
    return "has more than 64 bits" if isinstance(value, int) and value.bit_length() > MAX_BITS else ""


def _scalar(text: str) -> Any:
    """A plain scalar by the YAML 1.2 core schema."""
    if text in {"", "~", "null", "Null", "NULL"}:
        return None
    if text in {"true", "True", "TRUE", "false", "False", "FALSE"}:
        return text.lower() == "true"
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) < 20 else float(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    return float(text) if _FLOAT.fullmatch(text) else text
