"""JSON from strangers: what two readers could understand differently, or no reader can compute with, is refused.

For every body that comes over a network. What a document means is left to those who read it further.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from math import isfinite
from typing import Any

from pydantic_core import from_json

from modelhall.core.errors import Rejected

DEPTH = 64
SMALLEST, LARGEST = -(2**63), 2**64 - 1
LOOKED_THROUGH = 10_000
"""As many values are looked through to say where a wrong one stands; in a larger body only that there is one."""

_PLACE = re.compile(r"line (\d+) column (\d+)")


def loads(data: bytes, *, depth: int = DEPTH) -> Any:
    """The value that `data` is the JSON (RFC 8259) of; raises Rejected that says where something is wrong.

    Beyond what is no JSON, refused are: NaN and Infinity; a number that no double holds (1e400); an integer beyond
    64 bits, which most other readers round without a word, so that what is checked here would not be what is meant
    there; half a surrogate pair, which is no text; UTF-8 that is none, and a mark before it; a key that stands twice
    in one object, of which some readers take the first and some the last; a NUL in a key, where readers in C see its
    end; and more than `depth` levels.
    """
    try:
        value = from_json(data, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise Rejected(_not_json(data, str(error))) from None
    keys = _check_levels(value, depth, nul=b"\\" in data and b"\\u0000" in data)
    if keys != _without_strings(data).count(b":"):
        raise Rejected(f"the key {_repeated_key(data)!r} stands twice in one object")
    return value


def _check_levels(value: Any, depth: int, *, nul: bool) -> int:
    """Check what the parser lets pass, and how deep it is; return how many keys there are.

    `nul` says whether there is a NUL anywhere.
    """
    keys, level = 0, [value]
    # A level at a time, since then almost all of the work on a large array of numbers is done in C.
    for _ in range(depth + 1):
        types = set(map(type, level))
        if float in types:
            _check_floats(_of(float, level, types), value)
        if int in types:
            _check_integers(_of(int, level, types), value)
        within: list[Iterable[Any]] = []
        if list in types:
            within += _of(list, level, types)
        if dict in types:
            objects = _of(dict, level, types)
            keys += sum(map(len, objects))
            within += map(dict.values, objects)
            if nul and any("\0" in key for key in chain.from_iterable(objects)):
                raise _wrong("a key here holds a NUL character", value, _has_nul_in_key)
        if not within:
            return keys
        level = list(chain.from_iterable(within))
    raise Rejected(f"there are more than {depth} levels of lists and objects")


def _of(kind: type, level: list[Any], types: set[type]) -> list[Any]:
    return level if len(types) == 1 else [value for value in level if type(value) is kind]


def _check_floats(numbers: list[float], value: Any) -> None:
    # The sum tells quickly that all are finite, and may itself be too large.
    if not isfinite(sum(numbers)) and not all(map(isfinite, numbers)):
        raise _wrong("a number here is too large to compute with", value, _is_infinite)


def _check_integers(numbers: list[int], value: Any) -> None:
    if min(numbers) < SMALLEST or max(numbers) > LARGEST:
        raise _wrong("an integer here has more than 64 bits", value, _is_beyond_64_bits)


def _is_infinite(value: Any) -> bool:
    return type(value) is float and not isfinite(value)


def _is_beyond_64_bits(value: Any) -> bool:
    return type(value) is int and not SMALLEST <= value <= LARGEST


def _has_nul_in_key(value: Any) -> bool:
    return type(value) is dict and any("\0" in key for key in value)


def _wrong(message: str, value: Any, is_wrong: Callable[[Any], bool]) -> Rejected:
    """The error, with the path to the first part of `value` that is wrong, unless it is far in."""
    paths = (path for path, found in islice(_walk(value, ()), LOOKED_THROUGH) if is_wrong(found))
    return Rejected(message, field=".".join(next(paths, ())) or None)


def _walk(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """A value and all that it holds, each with its path."""
    yield path, value
    inner: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for name, found in inner:
        yield from _walk(found, (*path, str(name)))


def _without_strings(data: bytes) -> bytes:
    """What stands between the strings of valid JSON: within them, only an escape hides a quote."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(data.split(b'"')[::2])


def _repeated_key(data: bytes) -> str:
    def look(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Found(key)
            seen.add(key)

    try:
        json.loads(data, object_pairs_hook=look)
    except _Found as found:
        return found.key
    raise AssertionError("the keys were counted wrongly")


class _Found(Exception):
    def __init__(self, key: str) -> None:
        self.key = key


def _not_json(data: bytes, problem: str) -> str:
    """What the parser says, and what stands there: of NaN, it says only that a value was expected."""
    if not data.strip():
        return "not JSON: the body is empty"
    message, place = f"not JSON: {problem}", _PLACE.search(problem)
    if place is None:
        return message
    line, column = int(place[1]), int(place[2])
    there = data.split(b"\n", line)[line - 1][max(0, column - 1) :][:16]
    return f"{message}, at {there.decode(errors='replace')!a}" if there else message
