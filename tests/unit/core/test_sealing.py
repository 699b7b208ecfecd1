"""Sealed content comes back as it was, or not at all."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhall.core import sealing
from modelhall.core.errors import Broken
from modelhall.core.sealing import CHUNK_BYTES, CONTENT_MAGIC, PREFIX_BYTES, TAG_BYTES, KeySet

KEY = bytes(range(32))
ABOUT = "blob 1 of project p"
HEAD_BYTES = len(CONTENT_MAGIC) + PREFIX_BYTES
PIECE_BYTES = CHUNK_BYTES + TAG_BYTES


def seal(content: bytes, key: bytes = KEY, about: str = ABOUT) -> bytes:
    return b"".join(sealing.seal([content], key, about))


def opened(sealed: bytes, key: bytes = KEY, about: str = ABOUT) -> bytes:
    return b"".join(sealing.opened(io.BytesIO(sealed), key, about))


def key_set(*keys: bytes) -> KeySet:
    by_id = {sealing.id_of(key): key for key in keys}
    return KeySet(of="project p", newest=list(by_id)[-1], keys=by_id)


def pieces(sealed: bytes) -> tuple[bytes, list[bytes]]:
    body = sealed[HEAD_BYTES:]
    return sealed[:HEAD_BYTES], [body[at : at + PIECE_BYTES] for at in range(0, len(body), PIECE_BYTES)]


# Content.


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES])
def test_what_was_sealed_comes_back_and_is_not_to_be_seen_meanwhile(size: int) -> None:
    content = b"canary" * (size // 6) + b"y" * (size % 6)
    sealed = seal(content)
    assert opened(sealed) == content
    assert b"canary" not in sealed
    assert len(sealed) == HEAD_BYTES + size + TAG_BYTES * max(1, -(-size // CHUNK_BYTES))


@settings(max_examples=30)
@given(st.lists(st.integers(0, CHUNK_BYTES + 2), max_size=5))
def test_it_does_not_matter_in_what_pieces_content_comes(sizes: list[int]) -> None:
    parts = [bytes([number]) * size for number, size in enumerate(sizes)]
    assert opened(b"".join(sealing.seal(parts, KEY, ABOUT))) == b"".join(parts)


def test_the_same_content_is_never_sealed_to_the_same_bytes() -> None:
    assert seal(b"same")[HEAD_BYTES:] != seal(b"same")[HEAD_BYTES:]


def test_a_bit_flipped_in_any_byte_of_a_small_object_is_found() -> None:
    sealed = seal(b"a short secret")
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1 << position % 8
        with pytest.raises(Broken, match=ABOUT):
            opened(bytes(changed))


def test_a_bit_flipped_in_any_region_of_a_large_object_is_found() -> None:
    sealed = seal(b"z" * (2 * CHUNK_BYTES + 100))
    regions = [0, len(CONTENT_MAGIC), HEAD_BYTES]
    regions += [
        HEAD_BYTES + number * PIECE_BYTES + at
        for number in range(2)
        for at in (1, CHUNK_BYTES, PIECE_BYTES - 1)
    ]
    regions += [HEAD_BYTES + 2 * PIECE_BYTES, len(sealed) - TAG_BYTES, len(sealed) - 1]
    for position in regions:
        changed = bytearray(sealed)
        changed[position] ^= 0x80
        with pytest.raises(Broken):
            opened(bytes(changed))


def test_content_that_was_cut_off_anywhere_is_found_also_between_two_pieces() -> None:
    sealed = seal(b"z" * (2 * CHUNK_BYTES + 100))
    ends = [HEAD_BYTES, HEAD_BYTES + PIECE_BYTES, HEAD_BYTES + 2 * PIECE_BYTES]
    for end in sorted({0, 1, len(sealed) - 1, *ends, *(end - 1 for end in ends), *(end + 1 for end in ends)}):
        with pytest.raises(Broken):
            opened(sealed[:end])
    with pytest.raises(Broken):
        opened(sealed + b"\0")


def test_pieces_in_another_order_twice_missing_or_of_another_object_are_found() -> None:
    head, (first, second, last) = pieces(seal(b"1" * CHUNK_BYTES + b"2" * CHUNK_BYTES + b"3"))
    _, others = pieces(seal(b"9" * (2 * CHUNK_BYTES) + b"8"))
    for wrong in (
        [second, first, last], [first, first, last], [first, last], [second, last], [last],
        [first, second], [first, others[1], last], [first, second, last, last], [first, second, others[2]],
    ):  # fmt: skip
        with pytest.raises(Broken, match="changed, moved or cut off"):
            opened(head + b"".join(wrong))
    assert opened(head + first + second + last).endswith(b"3")


def test_only_the_right_key_in_the_right_place_opens_it() -> None:
    sealed = seal(b"content")
    for key, about in ((bytes(32), ABOUT), (KEY, "blob 2 of project p"), (KEY, "blob 1 of project q")):
        with pytest.raises(Broken):
            opened(sealed, key, about)


def test_nothing_of_a_piece_is_handed_on_before_it_was_checked() -> None:
    head, (first, second) = pieces(seal(b"1" * CHUNK_BYTES + b"2"))
    reading = sealing.opened(io.BytesIO(head + first + second[:-1] + bytes([second[-1] ^ 1])), KEY, ABOUT)
    assert next(reading) == b"1" * CHUNK_BYTES
    with pytest.raises(Broken):
        next(reading)


def test_memory_stays_flat_however_large_the_content() -> None:
    def large() -> Iterator[bytes]:
        for _ in range(64):
            yield bytes(CHUNK_BYTES)

    tracemalloc.start()
    try:
        total = sum(len(piece) for piece in sealing.seal(large(), KEY, ABOUT))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total > 64 * CHUNK_BYTES
    assert most < 8 * CHUNK_BYTES


# Keys.


def test_a_wrapped_key_is_opened_by_the_set_that_wrapped_it_and_by_later_generations() -> None:
    old, new = sealing.new_key(), sealing.new_key()
    wrapped = sealing.wrap(KEY, key_set(old), ABOUT)
    assert sealing.unwrap(wrapped, key_set(old, new), ABOUT) == KEY
    again = sealing.rewrapped(wrapped, key_set(old, new), ABOUT)
    assert again is not None
    assert sealing.unwrap(again, key_set(new), ABOUT) == KEY
    assert sealing.rewrapped(again, key_set(old, new), ABOUT) is None, "there is nothing left to do"


def test_a_key_that_was_deleted_or_is_anothers_is_named_by_its_id_only() -> None:
    mine, other = sealing.new_key(), sealing.new_key()
    wrapped = sealing.wrap(KEY, key_set(mine), ABOUT)
    with pytest.raises(
        Broken, match=f"sealed with key {sealing.id_of(mine)}, which project p does not have"
    ) as caught:
        sealing.unwrap(wrapped, key_set(other), ABOUT)
    for secret in (KEY, mine, other):
        assert secret.hex() not in str(caught.value)
        assert secret.hex() not in repr(key_set(secret))


def test_a_wrapped_key_with_any_byte_changed_or_about_something_else_does_not_open() -> None:
    keys = key_set(sealing.new_key())
    wrapped = sealing.wrap(KEY, keys, ABOUT)
    for position in range(len(wrapped)):
        changed = bytearray(wrapped)
        changed[position] ^= 1
        with pytest.raises(Broken):
            sealing.unwrap(bytes(changed), keys, ABOUT)
    for short in (b"", wrapped[:-1], wrapped + b"\0"):
        with pytest.raises(Broken, match="wrapped key"):
            sealing.unwrap(short, keys, ABOUT)
    with pytest.raises(Broken):
        sealing.unwrap(wrapped, keys, "blob 2 of project p")


def test_keys_that_seal_nothing_new_still_open_what_they_sealed() -> None:
    keys = key_set(sealing.new_key())
    wrapped = sealing.wrap(KEY, keys, ABOUT)
    closed = replace(keys, newest=None)
    assert sealing.unwrap(wrapped, closed, ABOUT) == KEY
    with pytest.raises(Broken, match="wrap nothing new"):
        sealing.wrap(KEY, closed, ABOUT)
