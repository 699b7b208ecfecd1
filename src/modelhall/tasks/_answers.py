"""Rows that are conversations: of each, the answers are to be told, and nothing else counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from modelhall.core.errors import Rejected
from modelhall.core.names import did_you_mean
from modelhall.tasks import Examples, Tensor, _chat, _tokenizers
from modelhall.tasks._chat import ROLES, Message
from modelhall.tasks._generation import MAX_LENGTH, NOT_ASKED, Generation

if TYPE_CHECKING:
    import polars as pl


class Row(NamedTuple):
    tokens: np.ndarray
    asked: np.ndarray
    """Which of them are to be told."""


class Answers(Generation):
    """Fitted. An example's input is a `Row`, its truth the tokens that are to be told; a request's is what one says
    to the model, up to where its answer begins."""

    MOST_NEW = 128

    def longest(self, train: pl.DataFrame) -> int:
        """The tokens of the longest conversation."""
        return max(len(row.tokens) for row in self._rows("train", train)) - 1

    @staticmethod
    def length(longest: int, said: int | None, reads: int | None) -> int:
        """As long as the longest, if nothing is said and the base reads as much."""
        return max(2, min(longest, said or reads or MAX_LENGTH, reads or longest))

    def examples(self, split: str, frame: pl.DataFrame) -> Examples:
        """Conversations are cut at the length of rows. Raises Rejected for one whose answers lie behind that."""
        rows = [self._cut(split, place, row) for place, row in enumerate(self._rows(split, frame))]
        truth = [row.tokens[1:][row.asked[1:]].tolist() for row in rows]
        return Examples(inputs=rows, truth=truth, lengths=[len(row.tokens) - 1 for row in rows])

    def documents(self, split: str, frame: pl.DataFrame) -> Examples:
        """Every row is a conversation alone."""
        return self.examples(split, frame)

    def read(self, inputs: Mapping[str, Tensor]) -> Examples:
        """Each text is what a user says. Raises Rejected for one that leaves no room for an answer."""
        talks = ([{"role": "user", "content": text}] for text in _tokenizers.asked(inputs["text"]))
        return self._requests(talks, "text {}", room=self.reads - self.most_new, field="inputs.text")

    def questions(self, split: str, frame: pl.DataFrame) -> tuple[Examples, list[str]]:
        """Each conversation up to its last answer, and that answer. Some have less room for it than others."""
        talks = [_to_last_answer(talk) for talk in self._talks(split, frame)]
        questions = (talk[:-1] for talk in talks)
        read = self._requests(
            questions, f"row {{}} of {split}", room=self.reads - 1, field="network.positions"
        )
        return read, [talk[-1]["content"] for talk in talks]

    def _requests(self, talks: Iterable[Sequence[Message]], where: str, *, room: int, field: str) -> Examples:
        """Each up to where its answer begins. Raises Rejected for one that is longer than the `room` there is."""
        read = []
        for place, talk in enumerate(talks):
            told = _chat.asked(self._fitted.template, self._special, talk)
            tokens = self.tokenizer.encode(told, add_special_tokens=False).ids or [self._end]
            if len(tokens) > room:
                raise Rejected(
                    f"{where.format(place)} has {len(tokens)} tokens with all that stands around it, and the model "
                    f"reads {room} before it answers; ask with less",
                    field=field,
                )
            read.append(tokens)
        return Examples(inputs=read, lengths=[len(tokens) for tokens in read])

    def _talks(self, split: str, frame: pl.DataFrame) -> Iterator[list[dict[str, str]]]:
        return conversations(split, frame, self.columns)

    def _rows(self, split: str, frame: pl.DataFrame) -> Iterator[Row]:
        return map(self._row, self._talks(split, frame))

    def _row(self, messages: Sequence[Message]) -> Row:
        """The tokens of a conversation. What is given and what is answered are encoded each by itself, as they are
        when a request ends where the answer begins."""
        tokens: list[int] = []
        asked: list[bool] = []
        for turn in _chat.turns(self._fitted.template, self._special, messages):
            found = self.tokenizer.encode(turn.text, add_special_tokens=False).ids
            # What a template writes behind the end of an answer is the next turn's.
            end = found.index(self._end) + 1 if self._end in found else len(found)
            tokens += found
            asked += [turn.is_answer and place < end for place in range(len(found))]
        return Row(np.array(tokens, dtype=np.int64), np.array(asked))

    def _cut(self, split: str, place: int, row: Row) -> Row:
        most = self._fitted.length + 1
        cut = Row(row.tokens[:most], row.asked[:most])
        if not cut.asked[1:].any():
            raise Rejected(
                f"row {place} of {split} has {len(row.tokens)} tokens, and its answers begin behind the "
                f"{self._fitted.length} that are read of a row; make `positions` of the network larger, or drop "
                "such rows",
                field="network.positions",
            )
        return cut

    def _asked(self, row: Row) -> tuple[np.ndarray, np.ndarray]:
        return row.tokens[:-1], np.where(row.asked[1:], row.tokens[1:], NOT_ASKED)

    def _ends(self) -> frozenset[int]:
        """Where the template ends an answer, too: that need not be the end of a text."""
        talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        (*_, answer) = _chat.turns(self._fitted.template, self._special, talk)
        added = self.tokenizer.get_added_tokens_decoder()
        found = self.tokenizer.encode(answer.text, add_special_tokens=False).ids
        return frozenset({self._end, *(token for token in found if token in added and added[token].special)})


def conversations(
    split: str, frame: pl.DataFrame, columns: Mapping[str, str]
) -> Iterator[list[dict[str, str]]]:
    """The messages of each row. Raises Rejected for what are none."""
    if "messages" in columns:
        for place, value in enumerate(frame[columns["messages"]].to_list()):
            yield _messages(value, f"row {place} of {split}")
        return
    asked, answered = (
        _tokenizers.texts_of(split, frame[columns[part]], field=f"columns.{part}")
        for part in ("instruction", "response")
    )
    for instruction, response in zip(asked, answered, strict=True):
        yield exchange(instruction, response)


def _to_last_answer(talk: Sequence[dict[str, str]]) -> Sequence[dict[str, str]]:
    """A conversation without what follows the last answer. Raises Rejected where there is none."""
    answers = [place for place, message in enumerate(talk) if message["role"] == "assistant"]
    if not answers:
        raise Rejected("a conversation has no message of the assistant, so there is no answer to hold it to")
    return talk[: answers[-1] + 1]


def exchange(said: str, answered: str) -> list[dict[str, str]]:
    """A conversation of one question."""
    return [{"role": "user", "content": said}, {"role": "assistant", "content": answered}]


def _messages(value: Any, where: str) -> list[dict[str, str]]:
    """A list of objects with role and content, or JSON of one."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, list) or not value:
        raise Rejected(
            f"{where} has no messages; a conversation is a list such as [{{role: user, content: …}}, "
            "{role: assistant, content: …}]",
            field="columns.messages",
        )
    for message in value:
        role, content = (
            message.get(name) if isinstance(message, dict) else None for name in ("role", "content")
        )
        if not isinstance(content, str) or not isinstance(role, str):
            raise Rejected(
                f"{where} has a message without role or content: {str(message)[:80]}",
                field="columns.messages",
            )
        if role not in ROLES:
            raise Rejected(
                f"{where} has a message of {role!r}; {did_you_mean(role, ROLES)}", field="columns.messages"
            )
    return [{"role": message["role"], "content": message["content"]} for message in value]
