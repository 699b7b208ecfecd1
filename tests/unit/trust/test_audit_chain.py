"""Entries, heads and the chain they make; edits without number in tests/torture/test_audit_edits.py."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from modelhall.core import digest
from modelhall.core.errors import Broken, Rejected, Tampered
from modelhall.core.ports.trail import Lines
from modelhall.trust.audit import chain
from modelhall.trust.audit.chain import START, Link, extend, links
from modelhall.trust.audit.entry import Draft, Outcome, decode, draft
from modelhall.trust.audit.heads import Head, head_from_json, new_key, signing_key_in, verifying_key_in
from modelhall.trust.audit.proof import Verdict, prove

KEY = new_key()
AT = 1_700_000_000.0


def intent(name: str = "r", **more: Any) -> Draft:
    said = {"who": "token default/first", "address": "127.0.0.1", "what": "apply", **more}
    return draft("intent", at=AT, targets=[f"run/default/{name}"], request="ab" * 32, **said)


def outcome(of: int) -> Draft:
    done = Outcome(result="done", status=200, revisions={"run/default/r": 7})
    return draft("outcome", at=AT, who="token default/first", what="apply", of=of, outcome=done)


def a_log(entries: int = 5) -> tuple[list[bytes], Link]:
    """A log of one part: a head, and so many intents."""
    made = extend(START, [intent(f"r{number}") for number in range(entries)], key=KEY, at=AT, begins=True)
    return made.lines, made.end


def verdict(lines: list[bytes], **options: Any) -> Verdict:
    return prove([("one", Lines(tuple(lines)))], KEY.public, **options)


def reworded(line: bytes, **fields: Any) -> bytes:
    """The line of the entry with other fields and a digest that is right."""
    said = {name: value for name, value in json.loads(line).items() if name != "digest"} | fields
    body = digest.canonical(said)
    return body[:-1] + b',"digest":"' + digest.of_bytes(body).encode() + b'"}'


def test_an_entry_is_read_back_as_it_was_written_and_its_digest_can_be_checked_by_hand() -> None:
    made = extend(START, [intent(), outcome(2)], key=KEY, at=AT, begins=True)
    assert made.numbers == [2, 3]
    (_, first, second) = (entry for entry, _ in links(made.lines, START, KEY.public))
    assert (first.number, first.who, first.targets) == (2, "token default/first", ("run/default/r",))
    assert (second.of, second.outcome) == (
        2,
        Outcome(result="done", status=200, revisions={"run/default/r": 7}),
    )
    told = json.loads(made.lines[2])
    own = told.pop("digest")
    assert own == digest.of_json(told) == second.digest
    assert told["previous"] == first.digest


def test_words_that_strangers_choose_are_cut_and_hold_neither_tokens_nor_half_characters() -> None:
    token = "mh_" + "a" * 43
    made = draft("note", at=AT, who="x" * 5000, what=f"guess {token}", detail={"\ud800": token})
    assert len(made.who) == 1000
    assert (made.what, made.detail) == ("guess mh_…", {"?": "mh_…"})
    line = extend(START, [made], key=KEY, at=AT).lines[0]
    assert token.encode() not in line
    assert decode(line, number=1).what == "guess mh_…"


def test_a_log_that_nobody_touched_is_well() -> None:
    lines, end = a_log()
    found = verdict(lines, kept=KEY.sign(end.number, end.digest, AT))
    assert found.is_well
    assert (found.first, found.last, found.digest, found.kept) == (1, 6, end.digest, 6)
    assert verdict([]).is_well


@pytest.mark.parametrize(
    ("edit", "entry", "words"),
    [
        (lambda lines: [*lines[:2], lines[2].replace(b"apply", b"other"), *lines[3:]], 3, "was changed"),
        (lambda lines: [*lines[:2], reworded(lines[2], what="other"), *lines[3:]], 4, "does not follow"),
        (lambda lines: [*lines[:2], b"{}", *lines[3:]], 3, "no entry any more"),
        (lambda lines: [*lines[:2], reworded(lines[2], more=1), *lines[3:]], 3, "no entry, though"),
        (lambda lines: [*lines[:2], *lines[3:]], 3, "is missing"),
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], 3, "is not here"),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], 3, "is missing"),
        (lambda lines: lines[1:], 1, "is missing"),
        (lambda lines: lines[:4], 5, "was cut"),
        (lambda lines: [], 1, "was cut"),
    ],
)
def test_the_first_entry_that_is_wrong_is_named_and_what_is_wrong_with_it(
    edit: Any, entry: int, words: str
) -> None:
    lines, end = a_log()
    wrong = verdict(edit(lines), kept=KEY.sign(end.number, end.digest, AT)).wrong
    assert wrong is not None
    assert wrong.entry == entry
    assert words in wrong.problem


def test_without_a_head_kept_elsewhere_a_cut_or_rewritten_end_cannot_be_seen() -> None:
    lines, end = a_log()
    assert verdict(lines[:4]).is_well
    again = extend(START, [intent("other")] * 5, key=KEY, at=AT, begins=True).lines
    assert verdict(again).is_well, "by somebody who has the key"
    assert not verdict(again, kept=KEY.sign(end.number, end.digest, AT)).is_well


def test_a_suffix_written_anew_without_the_key_is_found_at_the_next_head() -> None:
    first = extend(START, [intent(f"r{number}") for number in range(3)], key=KEY, at=AT, begins=True)
    rest = extend(first.end, [intent("last")], key=KEY, at=AT, sign=True)
    thief = extend(
        Link(2, json.loads(first.lines[1])["digest"], 1), [intent("other")] * 2, key=KEY, at=AT
    ).lines
    forged_head = reworded(rest.lines[1], previous=thief[-1][-66:-2].decode(), number=5)
    wrong = verdict([*first.lines[:2], *thief, forged_head]).wrong
    assert wrong is not None
    assert (wrong.entry, "forged head" in wrong.problem) == (5, True)


def test_a_head_entry_opens_a_part_stands_at_every_so_many_and_is_added_when_asked_for() -> None:
    drafts = [intent()] * (2 * chain.HEAD_EVERY)
    made = extend(START, drafts, key=KEY, at=AT, begins=True, sign=True)
    heads = [entry.number for entry, _ in links(made.lines, START, KEY.public) if entry.sort == "head"]
    assert heads == [1, chain.HEAD_EVERY, 2 * chain.HEAD_EVERY, made.end.number]
    assert made.end.signed == made.end.number
    assert extend(made.end, [], key=KEY, at=AT, sign=True).lines == [], "there is nothing to sign"


def test_a_log_whose_old_parts_were_archived_is_verified_from_its_first_head() -> None:
    first = extend(START, [intent()] * 3, key=KEY, at=AT, begins=True)
    second = extend(first.end, [intent()] * 3, key=KEY, at=AT, begins=True)
    kept = KEY.sign(second.end.number, second.end.digest, AT)
    assert verdict(second.lines, kept=kept, archived=True).is_well
    strict = verdict(second.lines, kept=kept).wrong
    assert strict is not None
    assert strict.entry == 1
    headless = verdict(second.lines[1:], kept=kept, archived=True).wrong
    assert headless is not None
    assert "no signed head" in headless.problem
    agrees = KEY.sign(first.end.number, first.end.digest, AT)
    assert verdict(second.lines, kept=agrees, archived=True).is_well, "of the last entry that was archived"
    with pytest.raises(Rejected, match="bring the archived parts back"):
        verdict(second.lines, kept=KEY.sign(2, json.loads(first.lines[1])["digest"], AT), archived=True)


def test_a_head_of_another_key_or_with_another_signature_is_refused() -> None:
    lines, end = a_log()
    own = KEY.sign(end.number, end.digest, AT)
    for forged, words in (
        (new_key().sign(end.number, end.digest, AT), "signed by key"),
        (own.model_copy(update={"digest": "1" * 64}), "does not bear a signature"),
        (own.model_copy(update={"at": AT + 1}), "does not bear a signature"),
        (own.model_copy(update={"signature": "no hex"}), "does not bear a signature"),
    ):
        wrong = verdict(lines, kept=forged).wrong
        assert wrong is not None
        assert words in wrong.problem


def test_what_a_process_remembers_is_as_good_as_a_kept_head() -> None:
    lines, end = a_log()
    assert verdict(lines, known=end).is_well
    assert not verdict(lines[:-1], known=end).is_well
    other = extend(START, [intent("other")] * 5, key=KEY, at=AT, begins=True)
    assert not verdict(other.lines, known=end).is_well


def test_an_intent_without_an_outcome_is_open_and_no_tampering() -> None:
    made = extend(START, [intent("a"), intent("b"), outcome(2)], key=KEY, at=AT, begins=True)
    found = verdict(made.lines)
    assert found.is_well
    assert [one.targets for one in found.open] == [("run/default/b",)]


def test_half_a_line_at_the_end_is_told_and_anywhere_else_it_is_wrong() -> None:
    lines, end = a_log()
    halved = ("one", Lines(tuple(lines[:-1]), lines[-1][:20]))
    found = prove([halved], KEY.public)
    assert (found.is_well, found.torn_bytes) == (True, 20)
    assert not prove([halved], KEY.public, kept=KEY.sign(end.number, end.digest, AT)).is_well
    another = extend(end, [intent()], key=KEY, at=AT, begins=True).lines
    wrong = prove([halved, ("two", Lines(tuple(another)))], KEY.public).wrong
    assert wrong is not None
    assert (wrong.entry, wrong.part) == (6, "two")


def test_the_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    key = signing_key_in(keys)
    assert signing_key_in(keys).public.id == key.public.id
    assert stat.S_IMODE((keys / "audit.pem").stat().st_mode) == 0o600
    public = verifying_key_in(keys / "audit.pub")
    assert public.problem(key.sign(1, "a" * 64, AT)) is None
    assert b"PRIVATE" not in (keys / "audit.pub").read_bytes()
    os.chmod(keys / "audit.pem", 0o644)
    with pytest.raises(Rejected, match="can be read by others"):
        signing_key_in(keys)
    (keys / "audit.pem").write_text("no key")
    os.chmod(keys / "audit.pem", 0o600)
    with pytest.raises(Broken, match="no Ed25519 key"):
        signing_key_in(keys)
    with pytest.raises(Rejected, match="as a public key"):
        verifying_key_in(keys / "none.pub")


def test_a_head_is_read_back_as_it_was_given_and_anything_else_is_refused() -> None:
    head = KEY.sign(3, "a" * 64, AT)
    assert head_from_json(head.model_dump_json()) == head
    for text, field in (("{}", "head.number"), ("no JSON", "head"), ('{"number": "x"}', "head.number")):
        with pytest.raises(Rejected) as caught:
            head_from_json(text)
        assert caught.value.field == field
    assert Head.model_fields.keys() == {"number", "digest", "at", "key", "signature"}


def test_an_error_of_a_changed_log_says_which_entry_it_is() -> None:
    lines, _ = a_log()
    with pytest.raises(Tampered) as caught:
        list(links([lines[0], lines[2]], START, KEY.public))
    assert (caught.value.entry, caught.value.who) == (2, "us")
