"""Text as the line formats get it: UTF-8 without a mark, found out or as said, cut where a row ends.

Encodings are tried in a strict order: a mark at the start, UTF-8, UTF-16 by its zeros, GB18030 if most of what comes
out is written as Chinese is. Nothing is guessed beyond that, since every further single-byte encoding fits any file.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from itertools import chain, islice
from typing import NamedTuple

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.formats._source import Part

CHUNK = 8 * 2**20
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE = 2**20
_ASCII = bytes(range(128))
_CHINESE = 0.6


class Chunk(NamedTuple):
    """Whole rows of a file, in UTF-8, and the number of the line they begin at."""

    first_line: int
    data: bytes


def chunks(part: Part, encoding: str | None, quote: str | None = None) -> Iterator[Chunk]:
    """The text of `part` in pieces that end where a line ends, and not inside `quote`. Raises Rejected for what is
    not in the encoding, and for a line past the limit."""
    rest, line = b"", 1
    for block in _utf_8(part, encoding):
        rest += block
        if len(rest) < CHUNK:
            continue
        end = _end_of_row(rest, quote)
        if end:
            yield Chunk(line, rest[:end])
            line += rest.count(b"\n", 0, end)
            rest = rest[end:]
        if len(rest) > part.limits.line_bytes:
            raise _too_long(part, line, rest, quote)
    if rest:
        yield Chunk(line, rest)


def whole(part: Part, encoding: str | None) -> str:
    """The text of a file that is one row; raises Rejected when it is too large to be held."""
    return b"".join(part.bounded(_utf_8(part, encoding))).decode()


def with_line_feeds(data: bytes, quote: str | None) -> bytes:
    """The rows with a line feed after each, whatever ended them; what is inside quotes stays as it is."""
    if b"\r" not in data or data.count(b"\r") == data.count(b"\r\n"):
        return data  # readers take that for a line end themselves
    if not quote:
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    pieces = data.split(quote.encode())
    pieces[::2] = [piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n") for piece in pieces[::2]]
    return quote.encode().join(pieces)


def _utf_8(part: Part, said: str | None) -> Iterator[bytes]:
    """The content as UTF-8 without a byte order mark, checked. As long as it is ASCII, it is that already."""
    encoding, decoder = said, None
    for number, block in enumerate(chain(part.blocks(), [b""])):
        encoding = encoding or _told_by(block, is_first=number == 0)
        if encoding is None:
            yield block
            continue
        decoder = decoder or _decoder(encoding)
        pending = decoder.getstate()[0]
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            line = 1 + sum(before.count(b"\n") for before in islice(part.blocks(), number))
            raise _not_in(part, encoding, said, line, pending + block, error) from None
        yield (text if number else text.removeprefix("\ufeff")).encode()


def _decoder(encoding: str) -> codecs.IncrementalDecoder:
    try:
        return codecs.getincrementaldecoder(encoding)("strict")
    except LookupError:
        raise Rejected(f"no encoding {encoding!r}; such as utf-8, gb18030", field="format.encoding") from None


def _told_by(block: bytes, *, is_first: bool) -> str | None:
    """The encoding that a block tells; None as long as it is all ASCII."""
    if is_first:
        if marked := next((name for mark, name in _MARKS if block.startswith(mark)), None):
            return marked
        if b"\0" in block[:_SAMPLE] and (wide := _utf_16(block[:_SAMPLE])):
            return wide
    if block.isascii():
        return None
    begin = len(block) - len(block.lstrip(_ASCII))
    sample = block[begin : begin + _SAMPLE]
    return "gb18030" if not _decodes(sample, "utf-8") and _is_chinese(sample) else "utf-8"


def _utf_16(sample: bytes) -> str | None:
    """Which UTF-16 it is, without a mark: the zero halves of its ASCII are all on one side."""
    high, low = sample[::2].count(0), sample[1::2].count(0)
    for zeros, others, name in ((low, high, "utf-16-le"), (high, low, "utf-16-be")):
        if zeros > 8 * others and zeros * 50 > len(sample) and _decodes(sample, name):
            return name
    return None


def _decodes(sample: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)("strict").decode(sample)
    except UnicodeDecodeError:
        return False
    return True


def _is_chinese(sample: bytes) -> bool:
    """Whether it is GB18030 that means something: a Latin letter with an accent also makes a pair with the letter
    after it, but one whose second byte is a letter."""
    if not _decodes(sample, "gb18030"):
        return False
    pairs = [
        char.encode("gb18030")
        for char in codecs.getincrementaldecoder("gb18030")("strict").decode(sample)
        if ord(char) > 127
    ]
    return sum(len(pair) == 2 and pair[1] > 127 for pair in pairs) >= _CHINESE * len(pairs)


def _not_in(
    part: Part, encoding: str, said: str | None, line: int, data: bytes, error: UnicodeDecodeError
) -> Rejected:
    line += data.count(b"\n", 0, error.start)
    told = f"byte 0x{data[error.start]:02x} is not {encoding.upper()}"
    hint = "" if said else "; say which encoding it is, such as `format: {encoding: cp1252}`"
    return Rejected(f"{part.name} line {line}: {told}{hint}", field="format.encoding" if said else "source")


def _end_of_row(data: bytes, quote: str | None) -> int:
    """Where the last whole row ends; 0 when none does."""
    end = data.rfind(b"\n") + 1
    if not quote:
        return end
    mark = quote.encode()
    inside = data.count(mark, 0, end) % 2
    while end and inside:
        before = data.rfind(b"\n", 0, end - 1) + 1
        inside = (inside + data.count(mark, before, end)) % 2
        end = before
    return end


def _too_long(part: Part, line: int, rest: bytes, quote: str | None) -> Rejected:
    limit = f"{part.limits.line_bytes:,} bytes (setting `source_line_bytes`)"
    if quote and b"\n" in rest:
        return Rejected(
            f"{part.name} line {line}: a row is longer than {limit}; a quotation mark in it is not closed, "
            "or is no quotation mark: `format: {quote: ''}`",
            field="source",
        )
    return Rejected(f"{part.name} line {line}: the line is longer than {limit}", field="source")
