"""What somebody may do to an audit log: each edit takes the parts of a log, and returns others.

Those who make them know all that is written, and how; some also have the key.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from modelhall.core import digest
from modelhall.trust.audit.chain import START, Link, extend, links
from modelhall.trust.audit.entry import Draft, draft
from modelhall.trust.audit.heads import Head, SigningKey, new_key

AT = 1_700_000_000.0

Parts = list[list[bytes]]
"""The lines of each part, each with its line end."""


@dataclass(frozen=True, kw_only=True)
class Log:
    """A log as it was written, and the head of it that was kept elsewhere."""

    parts: Parts
    key: SigningKey
    kept: Head

    @property
    def lines(self) -> list[bytes]:
        return [line for part in self.parts for line in part]

    def link(self, number: int) -> Link:
        """Where the chain was with entry `number`."""
        end = START
        for line in self.lines[:number]:
            told = json.loads(line)
            signed = told["number"] if told["sort"] == "head" else end.signed
            end = Link(told["number"], told["digest"], signed)
        return end


@dataclass(frozen=True, kw_only=True)
class Edited:
    """What an edit has made of a log."""

    parts: Parts
    first: int | None
    """The number of the first entry that is wrong; None when only the kept head can tell."""


Edit = Callable[[Log, random.Random], Edited]


def written(key: SigningKey, rng: random.Random, *, entries: int = 40, entries_a_part: int = 12) -> Log:
    """A log of several parts, signed at their beginnings and now and then."""
    parts: Parts = []
    end = START
    while end.number < entries:
        begins = not parts or len(parts[-1]) >= entries_a_part
        made = extend(end, _drafts(rng), key=key, at=AT, begins=begins, sign=rng.random() < 0.1)
        if begins:
            parts.append([])
        parts[-1] += [line + b"\n" for line in made.lines]
        end = made.end
    return Log(parts=parts, key=key, kept=key.sign(end.number, end.digest, AT))


def a_byte(log: Log, rng: random.Random) -> Edited:
    """Any byte of any line becomes another one, also a line end."""
    place = rng.randrange(len(log.lines))
    line = bytearray(log.lines[place])
    at = rng.randrange(len(line))
    line[at] = rng.choice([other for other in range(256) if other != line[at]])
    return Edited(parts=_put(log, place, [bytes(line)]), first=place + 1)


def a_byte_more_or_less(log: Log, rng: random.Random) -> Edited:
    """A byte is added to a line, or taken from it."""
    place = rng.randrange(len(log.lines))
    line = log.lines[place]
    at = rng.randrange(len(line) - 1)
    more = line[:at] + bytes([rng.randrange(256)]) + line[at:]
    return Edited(parts=_put(log, place, [rng.choice((more, line[:at] + line[at + 1 :]))]), first=place + 1)


def a_field(log: Log, rng: random.Random) -> Edited:
    """A field says something else, and the digest stays."""
    place = rng.randrange(len(log.lines))
    told = _other_words(json.loads(log.lines[place]), rng)
    own = told.pop("digest")
    body = digest.canonical(told)
    return Edited(parts=_put(log, place, [body[:-1] + f',"digest":"{own}"}}\n'.encode()]), first=place + 1)


def a_field_with_its_digest(log: Log, rng: random.Random) -> Edited:
    """A field says something else, and the entry's own digest is right."""
    place = rng.randrange(len(log.lines))
    told = _other_words(json.loads(log.lines[place]), rng)
    # What stands in it is no longer what the next entry names, or the kept head, or what its own signature is of.
    return Edited(parts=_put(log, place, [_line(told)]), first=None)


def swapped(log: Log, rng: random.Random) -> Edited:
    one, other = sorted(rng.sample(range(len(log.lines)), 2))
    lines = log.lines
    lines[one], lines[other] = lines[other], lines[one]
    return Edited(parts=_like(log, lines), first=one + 1)


def removed(log: Log, rng: random.Random) -> Edited:
    place = rng.randrange(len(log.lines))
    return Edited(parts=_put(log, place, []), first=place + 1)


def several_removed(log: Log, rng: random.Random) -> Edited:
    gone = set(rng.sample(range(len(log.lines)), rng.randrange(2, 6)))
    kept = [[line for line in part if log.lines.index(line) not in gone] for part in log.parts]
    return Edited(parts=kept, first=min(gone) + 1)


def duplicated(log: Log, rng: random.Random) -> Edited:
    place = rng.randrange(len(log.lines) - 1)
    return Edited(parts=_put(log, place, [log.lines[place]] * 2), first=place + 2)


def inserted(log: Log, rng: random.Random) -> Edited:
    """A forged entry that follows the one before it, with a right digest: the next one does not follow, or the kept
    head is of another."""
    place = rng.randrange(len(log.lines) - 1)
    forged = extend(log.link(place + 1), _drafts(rng)[:1], key=log.key, at=AT).lines[0] + b"\n"
    return Edited(parts=_put(log, place, [log.lines[place], forged]), first=min(place + 3, log.kept.number))


def cut(log: Log, rng: random.Random) -> Edited:
    """Everything after an entry is gone, or after any byte."""
    place = rng.randrange(len(log.lines))
    lines = log.lines[:place]
    if rng.random() < 0.5:
        lines.append(log.lines[place][: rng.randrange(len(log.lines[place]))])
    return Edited(parts=_like(log, lines), first=place + 1)


def rewritten(log: Log, rng: random.Random) -> Edited:
    """Everything after an entry is written anew, each digest right, and what stood in signatures is used again."""
    place = rng.randrange(len(log.lines))
    end, lines = log.link(place), log.lines[:place]
    for line in log.lines[place:]:
        told = json.loads(line)
        said = told if told["sort"] == "head" else _other_words(told, rng)
        lines.append(_line(said | {"number": end.number + 1, "previous": end.digest}))
        end = Link(end.number + 1, json.loads(lines[-1])["digest"], 0)
    return Edited(parts=_like(log, lines), first=None)


def rewritten_with_the_key(log: Log, rng: random.Random) -> Edited:
    """Everything after an entry is written anew by somebody who has the signing key."""
    return Edited(parts=_anew(log, rng, log.key, log.link(rng.randrange(len(log.lines)))), first=None)


def of_another_key(log: Log, rng: random.Random) -> Edited:
    """A head entry is signed by another key, its digest right."""
    heads = [place for place, line in enumerate(log.lines) if json.loads(line)["sort"] == "head"]
    place = rng.choice(heads)
    thief = new_key()
    told = json.loads(log.lines[place])
    own = thief.signature(place, told["previous"], told["at"]).model_dump()
    own["key"] = rng.choice((own["key"], log.key.public.id))
    return Edited(parts=_put(log, place, [_line(told | {"signed": own})]), first=place + 1)


def an_older_head(log: Log, rng: random.Random) -> Edited:
    """A head entry bears the signature of an earlier one, its digest right."""
    heads = [place for place, line in enumerate(log.lines) if json.loads(line)["sort"] == "head"]
    older, place = sorted(rng.sample(heads, 2))
    signed = json.loads(log.lines[older])["signed"]
    told = json.loads(log.lines[place])
    return Edited(parts=_put(log, place, [_line(told | {"signed": signed})]), first=place + 1)


def a_part(log: Log, rng: random.Random) -> Edited:
    """A whole part is gone, stands twice, or where another one stood."""
    parts = [list(part) for part in log.parts]
    one, other = sorted(rng.sample(range(len(parts)), 2))
    what = rng.choice(("gone", "twice", "swapped"))
    if what == "gone":
        del parts[one]
    elif what == "twice":
        parts.insert(other, parts[one])
    else:
        parts[one], parts[other] = parts[other], parts[one]
    at = other if what == "twice" else one
    return Edited(parts=parts, first=sum(map(len, log.parts[:at])) + 1)


def another_log(log: Log, rng: random.Random) -> Edited:
    """A whole other log, by somebody who has the key, or by somebody with another one."""
    thief = rng.choice((log.key, new_key()))
    return Edited(parts=_anew(log, rng, thief, START), first=None)


EDITS: Sequence[Edit] = (
    a_byte, a_byte_more_or_less, a_field, a_field_with_its_digest, swapped, removed, several_removed, duplicated,
    inserted, cut, rewritten, rewritten_with_the_key, of_another_key, an_older_head, a_part, another_log,
)  # fmt: skip


def _drafts(rng: random.Random) -> list[Draft]:
    names = [f"run/{rng.choice('ab')}/r{rng.randrange(1000)}" for _ in range(rng.randrange(1, 4))]
    said: dict[str, Any] = {"at": AT + rng.random(), "who": f"user {rng.choice(('anna', 'bert'))}"}
    return [draft("intent", **said, what="apply", targets=[name], address="10.0.0.1") for name in names]


def _other_words(told: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """The same entry with another value in one of its fields."""
    other = {
        "who": "user mallory", "what": "nothing", "targets": ["run/a/other"], "at": told["at"] + 1,
        "address": "10.9.9.9", "sort": "note",
    }  # fmt: skip
    name = rng.choice(sorted(other))
    return told | {name: other[name]}


def _line(told: dict[str, Any]) -> bytes:
    """The line of an entry, with the digest that belongs to it."""
    body = digest.canonical({name: value for name, value in told.items() if name != "digest"})
    return body[:-1] + f',"digest":"{digest.of_bytes(body)}"}}\n'.encode()


def _anew(log: Log, rng: random.Random, key: SigningKey, after: Link) -> Parts:
    """The log until `after`, and at least as many entries as there were, of something else."""
    lines, end = log.lines[: after.number], after
    while end.number < len(log.lines):
        begins = end.number in {sum(map(len, log.parts[:place])) for place in range(len(log.parts))}
        drafts = [one.model_copy(update={"who": "user mallory"}) for one in _drafts(rng)[:1]]
        made = extend(end, drafts, key=key, at=AT, begins=begins)
        lines += [line + b"\n" for line in made.lines]
        end = made.end
    for _ in links([line[:-1] for line in lines[after.number :]], after, key.public):
        pass  # it must be well in itself, or finding it proves nothing
    return _like(log, lines)


def _put(log: Log, place: int, instead: list[bytes]) -> Parts:
    """The parts with other lines in the place of one."""
    parts: Parts = []
    at = 0
    for part in log.parts:
        here = place - at
        parts.append(part[:here] + instead + part[here + 1 :] if 0 <= here < len(part) else list(part))
        at += len(part)
    return parts


def _like(log: Log, lines: list[bytes]) -> Parts:
    """Lines in parts of the sizes there were; what is more is in the last one."""
    parts: Parts = []
    left = list(lines)
    for part in log.parts[:-1]:
        parts.append(left[: len(part)])
        left = left[len(part) :]
    return [part for part in (*parts, left) if part]
