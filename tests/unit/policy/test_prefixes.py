from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from modelhall.policy.prefixes import BLOCK_BYTES, MOST_BLOCKS, Prefixes, blocks_of

PROMPTS = st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=12).map(
    lambda letters: b"".join(letter * BLOCK_BYTES for letter in letters)
)


@given(one=PROMPTS, other=PROMPTS)
def test_prompts_share_as_many_blocks_as_they_begin_alike(one: bytes, other: bytes):
    alike = next(
        (
            i
            for i in range(0, len(one) + 1, BLOCK_BYTES)
            if one[: i + BLOCK_BYTES] != other[: i + BLOCK_BYTES]
        ),
        len(one),
    )
    known = Prefixes(1000)
    known.add(blocks_of(one))
    assert known.shared(blocks_of(other)) == min(alike, len(one), len(other)) // BLOCK_BYTES


@given(prompts=st.lists(PROMPTS, max_size=30), most=st.integers(1, 20))
def test_no_more_is_remembered_than_there_is_room_for(prompts: list[bytes], most: int):
    known = Prefixes(most)
    for prompt in prompts:
        known.add(blocks_of(prompt))
        assert len(known) <= most


def test_what_was_used_longest_ago_is_forgotten_first_and_a_prompt_from_its_end():
    a, b, c = (blocks_of(letter * 4 * BLOCK_BYTES) for letter in (b"a", b"b", b"c"))
    known = Prefixes(8)
    for prompt in (a, b, a, c[:2]):
        known.add(prompt)
    assert (known.shared(a), known.shared(b), known.shared(c)) == (4, 2, 2)


def test_the_tail_of_a_prompt_that_fills_no_block_makes_no_difference():
    assert blocks_of(b"x" * BLOCK_BYTES + b"tail") == blocks_of(b"x" * BLOCK_BYTES)
    assert blocks_of(b"short") == []


def test_the_longest_prompt_costs_no_more_than_so_many_blocks():
    assert len(blocks_of(b"x" * (BLOCK_BYTES * MOST_BLOCKS * 3))) == MOST_BLOCKS
