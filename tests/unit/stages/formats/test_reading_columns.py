"""Parquet, Arrow, npz, pictures and sounds."""

from __future__ import annotations

import contextlib
import io
import random
import struct
import wave

import numpy as np
import polars as pl
import pytest
from reading_files import Read, Refused

from modelhall.core.errors import Rejected
from modelhall.core.ports.source import Limits
from modelhall.stages.prepare._damage import Damage

ROWS = pl.DataFrame({"n": range(100_000), "text": [f"row {row}" for row in range(100_000)]})


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, row_group_size=10_000)
    return buffer.getvalue()


def wav(seconds: float = 0.1, rate: int = 8000) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.zeros(int(seconds * rate), np.int16).tobytes())
    return buffer.getvalue()


def test_parquet_is_read_in_order_and_in_its_own_types(read: Read) -> None:
    assert read({"a.parquet": parquet(ROWS)}).equals(ROWS)


def test_parquet_files_of_types_that_go_together_are_one_table(read: Read, refused: Refused) -> None:
    whole, half = pl.DataFrame({"v": [1]}), pl.DataFrame({"v": [0.5]})
    assert read({"a.parquet": parquet(whole), "b.parquet": parquet(half)})["v"].to_list() == [1.0, 0.5]
    error = refused({"a.parquet": parquet(whole), "b.parquet": parquet(pl.DataFrame({"v": ["x"]}))})
    assert error.message == "b.parquet: column 'v' is String, and Int64 before that; bring it into one type"


def test_images_and_sounds_in_parquet_become_plain_bytes(read: Read) -> None:
    frame = pl.DataFrame({"image": [{"bytes": b"1", "path": None}, {"bytes": b"2", "path": "x"}]})
    assert read({"a.parquet": parquet(frame)})["image"].to_list() == [b"1", b"2"]


def test_a_truncated_parquet_is_refused_wherever_it_is_cut(refused: Refused) -> None:
    whole = parquet(ROWS)
    for end in (0, 4, 100, len(whole) // 2, len(whole) - 8, len(whole) - 1):
        error = refused({"a.parquet": whole[:end]})
        assert error.message.startswith("a.parquet is not parquet that can be read")


def test_damaged_columns_are_refused_or_read_and_never_break_us(read: Read) -> None:
    chosen = random.Random(5)
    whole = parquet(ROWS.head(500))
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(chosen.randint(1, 8)):
            damaged[chosen.randrange(len(damaged))] = chosen.randrange(256)
        with contextlib.suppress(Rejected):
            read({"a.parquet": bytes(damaged)})


@pytest.mark.parametrize("name", ["a.arrow", "a.feather", "a.ipc"])
@pytest.mark.parametrize("is_stream", [False, True])
def test_arrow_is_read_as_a_file_and_as_a_stream(read: Read, name: str, is_stream: bool) -> None:
    buffer = io.BytesIO()
    (ROWS.write_ipc_stream if is_stream else ROWS.write_ipc)(buffer)
    assert read({name: buffer.getvalue()}).equals(ROWS)


def test_a_truncated_arrow_file_is_refused(refused: Refused) -> None:
    buffer = io.BytesIO()
    ROWS.write_ipc(buffer)
    for end in (0, 6, len(buffer.getvalue()) // 2):
        assert (
            "a.arrow is not arrow that can be read" in refused({"a.arrow": buffer.getvalue()[:end]}).message
        )


def test_an_arrow_stream_too_large_to_be_held_is_refused(refused: Refused) -> None:
    buffer = io.BytesIO()
    ROWS.write_ipc_stream(buffer)
    assert (
        "source_whole_bytes"
        in refused({"a.arrow": buffer.getvalue()}, limits=Limits(whole_bytes=1000)).message
    )


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def test_arrays_of_one_length_are_columns(read: Read) -> None:
    rows = read(
        {
            "a.npz": npz(
                x=np.arange(6.0).reshape(3, 2), y=np.array(["a", "b", "c"]), z=np.array([1, 2, 3], ">i4")
            )
        }
    )
    assert rows["x"].to_list() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    assert rows.select("y", "z").rows() == [("a", 1), ("b", 2), ("c", 3)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (npz(x=np.arange(3), y=np.arange(2)), "its arrays are not of one length: x (3,), y (2,)"),
        (npz(x=np.array(3)), "its arrays are not of one length"),
        (npz(x=np.array([{"a": 1}], dtype=object)), "a.npz is not npz that can be read: Object arrays"),
        (npz(x=np.array([1j])), "'x' is an array of complex128"),
        (npz(), "its arrays are not of one length: none"),
        (b"PK", "a.npz is not npz that can be read"),
        (npz(x=np.zeros(10_000_000)), "a.npz holds arrays of 80,000,128 bytes; at most 10,000,000"),
    ],
)
def test_npz_that_is_no_table_is_refused(refused: Refused, content: bytes, says: str) -> None:
    assert says in refused({"a.npz": content}, limits=Limits(whole_bytes=10_000_000)).message


def test_a_folder_of_sounds_tells_their_rate_and_length(read: Read) -> None:
    pytest.importorskip("soundfile")
    rows = read({"yes/a.wav": wav(0.5), "no/b.wav": wav(0.25, 16_000), "no/c.wav": b"RIFF and no more"})
    assert rows.select("label", "path", "sample_rate", "channels", "duration_s").rows() == [
        ("yes", "yes/a.wav", 8000, 1, 0.5),
        ("no", "no/b.wav", 16_000, 1, 0.25),
        ("no", "no/c.wav", None, None, None),
    ]


def test_the_parts_of_a_file_name_can_be_columns(read: Read, refused: Refused) -> None:
    rows = read({"d/cat_ann_1.png": b"1", "d/dog_ben_2.png": b"2"}, names="{label}_{by}_{take}")
    assert rows.columns == ["image", "label", "path", "by", "take"]
    assert rows.select("label", "by", "take").rows() == [("cat", "ann", "1"), ("dog", "ben", "2")]
    error = refused({"d/cat.png": b"1"}, names="{label}_{by}")
    assert (error.field, error.message) == ("format.names", "d/cat.png is not called '{label}_{by}'")
    assert refused({"d/cat.png": b"1"}, names="label").field == "format.names"


def test_a_picture_too_large_to_be_held_is_refused(refused: Refused) -> None:
    error = refused({"cat/1.png": b"x" * 2000}, limits=Limits(whole_bytes=1000))
    assert error.message.startswith("cat/1.png is larger than 1,000 bytes")


def test_damaged_sounds_are_counted_named_and_refused_past_the_share() -> None:
    pytest.importorskip("soundfile")
    whole = wav(1.0)
    silent = struct.pack("<4sI4s", b"RIFF", 4, b"WAVE")
    sounds = [whole] * 6 + [whole[:200], silent, b"", None]
    rows = pl.DataFrame(
        {"audio": sounds, "path": [f"{n}.wav" for n in range(10)]},
        schema={"audio": pl.Binary, "path": pl.String},
    )
    damage = Damage(max_damaged=0.4, threads=1)
    assert damage.of(rows).to_list() == [False] * 6 + [True] * 4
    damage.check()
    damage = Damage(max_damaged=0.3, threads=1)
    damage.of(rows)
    with pytest.raises(Rejected) as raised:
        damage.check()
    assert raised.value.field == "max_damaged"
    assert raised.value.message == (
        "4 of 10 pictures or sounds are damaged, more than the share of 0.3 that `max_damaged` allows: "
        "6.wav, 7.wav, 8.wav, 9.wav"
    )


def test_bytes_that_are_neither_pictures_nor_sounds_are_not_judged() -> None:
    rows = pl.DataFrame({"key": [b"\x00\x01", b""]})
    assert not Damage(max_damaged=0.0, threads=1).of(rows).any()
