"""Steps that change sounds when they are prepared, and each time they are learnt from."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from modelhall.core import files
from modelhall.core.errors import Rejected
from modelhall.core.program import Order, Reporter, unpacked
from modelhall.stages import _data, prepare
from modelhall.stages.prepare import shards
from modelhall.stages.prepare.steps import _sounds, augment_sounds, features, resample, trim
from modelhall.stages.prepare.steps._spectra import cepstrum, log_mel
from modelhall.stages.train.requests import FILE, preparation
from modelhall.tasks import Tensor
from modelhall.tasks._preparation import Preparation

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")

Orders = Callable[..., Order]
Prepared = Callable[..., tuple[dict[str, Any], dict[str, pl.DataFrame]]]
RATE = 8000


def tone(hertz: float, seconds: float = 0.5, rate: int = RATE, loud: float = 0.5) -> np.ndarray:
    return loud * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def encoded(samples: np.ndarray, rate: int = RATE, form: str = "WAV", **how: Any) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=form, **how)
    return buffer.getvalue()


def heard(data: bytes) -> tuple[np.ndarray, int]:
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    return samples, rate


def rows(*sounds: bytes | None) -> pl.DataFrame:
    return pl.DataFrame({"audio": list(sounds)}, schema={"audio": pl.Binary})


def changed(module: Any, data: bytes, **options: Any) -> tuple[np.ndarray, int]:
    return heard(module.apply(rows(data), **options).rows["audio"][0])


@pytest.mark.parametrize("rate", [4000, 11025, 16000, 44100])
def test_a_tone_is_the_same_tone_at_another_rate(rate: int) -> None:
    samples, told = changed(resample, encoded(tone(440, 1.0)), rate=rate)
    assert (told, len(samples)) == (rate, rate)
    inside = slice(rate // 10, -rate // 10)
    assert np.abs(samples - tone(440, 1.0, rate))[inside].max() < 1e-3


def test_what_a_lower_rate_cannot_hold_is_silenced_and_not_folded_down() -> None:
    samples, _ = changed(resample, encoded(tone(3000, 1.0)), rate=4000)
    assert np.abs(samples[400:-400]).max() < 1e-3


def test_channels_become_their_mean_and_what_columns_told_stays_true() -> None:
    stereo = np.stack([tone(440), -tone(440)], axis=1)
    frame = rows(encoded(stereo)).with_columns(
        sample_rate=RATE, channels=2, duration_s=0.5, label=pl.lit("a")
    )
    made = resample.apply(frame, rate=16000, mono=True).rows
    assert made.drop("audio").to_dicts() == [
        {"sample_rate": 16000, "channels": 1, "duration_s": 0.5, "label": "a"}
    ]
    assert np.abs(heard(made["audio"][0])[0]).max() < 1e-3
    assert heard(resample.apply(frame, rate=16000).rows["audio"][0])[0].shape == (8000, 2)


def test_silence_before_and_behind_is_cut_off_and_that_within_stays() -> None:
    silence = np.zeros(RATE)
    sound = np.concatenate([silence, tone(440, 0.3), np.zeros(800), tone(440, 0.3), silence])
    sound += np.random.default_rng(1).normal(0, 1e-4, len(sound))
    samples, _ = changed(trim, encoded(sound), margin_s=0.0)
    assert abs(len(samples) / RATE - 0.7) < 0.06
    more, _ = changed(trim, encoded(sound), margin_s=0.2)
    assert abs(len(more) / RATE - 1.1) < 0.06


def test_how_loud_a_recording_is_does_not_matter_to_where_it_is_cut() -> None:
    sound = np.concatenate([np.zeros(2000), tone(440, 0.3), np.zeros(4000)])
    loud, soft = (len(changed(trim, encoded(sound * by, subtype="FLOAT"))[0]) for by in (1, 0.02))
    assert loud == soft < len(sound)


def test_silence_as_a_whole_is_dropped_and_stays_as_it_is_in_a_request() -> None:
    done = trim.apply(rows(encoded(np.zeros(999)), encoded(tone(440)), None))
    assert done.drop["silent"].to_list() == [True, False, False]
    assert len(heard(done.rows["audio"][0])[0]) == 999


def test_log_mel_spectra_are_those_of_transformers() -> None:
    audio = pytest.importorskip("transformers.audio_utils")
    samples = chirp()
    filters = audio.mel_filter_bank(257, 40, 50, 7000, 16000, norm="slaney", mel_scale="slaney")
    theirs = audio.spectrogram(
        samples, audio.window_function(512, "hann"), 512, 160, fft_length=512, power=2.0, mel_filters=filters,
        log_mel="dB", db_range=80.0,
    ).T  # fmt: skip
    ours = log_mel(samples, 16000, window=512, hop=160, bands=40, low_hz=50, high_hz=7000)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 1e-3


def test_spectra_and_coefficients_are_those_that_librosa_tells_of_the_same_sound() -> None:
    """The figures were printed by librosa 0.11: `power_to_db(melspectrogram(…))` and `mfcc(S=…)`."""
    ours = log_mel(chirp(), 16000, window=400, hop=160, bands=40, low_hz=0, high_hz=8000)
    frames = [0, 50, 100, 150, 200]
    assert ours[frames, [0, 20, 10, 39, 30]] == pytest.approx(
        [9.5536, -34.3267, -35.9843, -34.1964, -14.8127], abs=1e-3
    )
    coefficients = cepstrum(ours, 13)
    assert coefficients[frames, [0, 1, 5, 12, 3]] == pytest.approx(
        [-141.8523, 20.2963, -8.2153, 7.973, 33.2316], abs=1e-3
    )


def test_coefficients_are_the_cosine_transform_that_scipy_computes() -> None:
    dct = pytest.importorskip("scipy.fft").dct
    decibels = log_mel(chirp(), 16000, window=400, hop=160, bands=40, low_hz=0, high_hz=8000)
    theirs = dct(decibels.astype(np.float64), norm="ortho", axis=1)[:, :13]
    assert np.abs(cepstrum(decibels, 13) - theirs).max() < 1e-4


def chirp() -> np.ndarray:
    """Two seconds of a rising tone in some noise."""
    moments = np.arange(32000) / 16000
    noise = np.random.RandomState(0).normal(0, 0.01, len(moments))
    return (0.5 * np.sin(2 * np.pi * (200 + 800 * moments) * moments) + noise).astype(np.float32)


def test_features_are_a_list_of_frames_and_a_picture_of_them_has_low_bands_below() -> None:
    frame = rows(encoded(tone(300)), None)
    numbers = features.apply(frame, rate=RATE, bands=20).rows
    assert numbers.columns == ["features"]
    assert numbers["features"].null_count() == 1
    frames = np.array(numbers["features"][0].to_list())
    assert frames.shape == (51, 20)
    assert np.argmax(frames[25]) < 5
    options = {"into": "image", "form": "picture", "bands": 20, "keep": True}
    drawn = features.apply(frame, rate=RATE, **options).rows  # type: ignore[arg-type]
    pixels = np.asarray(Image.open(io.BytesIO(drawn["image"][0])))
    assert pixels.shape == (20, 51)
    assert np.argmax(pixels[:, 25]) == 19 - np.argmax(frames[25])
    assert drawn.columns == ["audio", "image"]


def test_sounds_of_any_length_have_as_many_frames_when_a_length_is_given() -> None:
    frame = rows(*(encoded(tone(300, seconds)) for seconds in (0.1, 0.5, 2.0, 1 / RATE)))
    made = features.apply(frame, rate=RATE, kind="mfcc", length_s=0.5).rows["features"]
    assert made.list.len().to_list() == [51] * 4
    assert made.dtype == pl.List(pl.Array(pl.Float32, 13))


def test_sounds_of_another_rate_are_refused_with_what_would_do() -> None:
    with pytest.raises(Rejected, match=r"has 8000 samples a second, not 16000; `resample: {rate: 16000}`"):
        features.apply(rows(encoded(tone(300))), rate=16000)


HOSTILE = {
    "nothing": b"",
    "a picture": b"\x89PNG\r\n\x1a\n" + b"\0" * 40,
    "cut off": encoded(tone(300), form="FLAC")[:60],
    "no sample": encoded(np.zeros(0)),
    "noise": bytes(range(256)) * 4,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize(
    ("module", "options"), [(resample, {"rate": 4000}), (trim, {}), (features, {"rate": RATE})]
)
def test_a_hostile_sound_is_refused_by_its_row(module: Any, options: dict[str, Any], data: bytes) -> None:
    with pytest.raises(Rejected, match="audio of row 1") as raised:
        module.apply(rows(encoded(tone(300)), data), **options)
    assert raised.value.field == "column"


def test_a_sound_that_would_fill_the_memory_is_refused_before_it_is_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed_silence = encoded(np.zeros(10_000_000), form="FLAC")
    assert len(packed_silence) < 100_000
    monkeypatch.setattr(_sounds, "MAX_SAMPLES", 9_999_999)
    with pytest.raises(Rejected, match="10,000,000 moments; it is too long"):
        resample.apply(rows(packed_silence), rate=4000)


@pytest.mark.parametrize(
    ("module", "options", "field"),
    [
        (resample, {"rate": 0}, "rate"), (resample, {"rate": 8000, "column": "no"}, "column"),
        (resample, {"rate": 8000, "column": "label"}, "column"), (trim, {"below_db": 0.0}, "below_db"),
        (features, {"rate": RATE, "high_hz": 5000.0}, "high_hz"),
        (features, {"rate": RATE, "hop_s": 0.0}, "window_s"),
        (features, {"rate": RATE, "kind": "mfcc", "bands": 10}, "coefficients"),
        (features, {"rate": RATE, "kind": "mfcc", "form": "picture"}, "form"),
        (augment_sounds, {"speed": 1.0}, "speed"),
        (augment_sounds, {"column": "label"}, "column"), (augment_sounds, {"noise": -1.0}, "noise"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_met_are_refused(module: Any, options: dict[str, Any], field: str) -> None:
    with pytest.raises(Rejected) as raised:
        module.apply(rows(encoded(tone(300))).with_columns(label=1), **options)
    assert raised.value.field == field


def varied(data: bytes, seeds: range = range(6), **options: Any) -> list[np.ndarray]:
    randoms = [np.random.default_rng([seed]) for seed in seeds]
    made = augment_sounds.vary(rows(*[data] * len(seeds)), randoms, **options)
    return [heard(one)[0] for one in made["audio"]]


@pytest.mark.parametrize("options", [{"noise": 0.1}, {"shift_s": 0.1}, {"speed": 0.2}, {"volume_db": 12.0}])
def test_every_way_to_vary_changes_sounds_by_the_seed(options: dict[str, float]) -> None:
    data = encoded(tone(440))
    made = varied(data, **options)
    assert len({one.tobytes() for one in made}) > 1
    assert all(np.array_equal(a, b) for a, b in zip(made, varied(data, **options), strict=True))
    assert all(np.array_equal(one, heard(data)[0]) for one in varied(data))


def test_speed_changes_the_length_and_a_shift_does_not() -> None:
    data = encoded(tone(440))
    lengths = {len(one) for one in varied(data, speed=0.2)}
    assert min(lengths) >= 4000 / 1.2 - 1
    assert max(lengths) <= 4000 / 0.8 + 1
    assert len(lengths) > 1
    for one in varied(data, shift_s=0.1):
        assert len(one) == 4000
        assert 3199 <= np.flatnonzero(one)[-1] - np.flatnonzero(one)[0] <= 3999


PIPELINE = [
    {"resample": {"rate": 8000, "mono": True}},
    {"trim": {"below_db": 30.0}},
    {"split": {"seed": 1}},
    {"features": {"rate": 8000, "into": "image", "form": "picture", "length_s": 0.4, "bands": 24}},
    {"shuffle": {"seed": 2}},
]


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for number in range(30):
        rate = (8000, 16000, 11025)[number % 3]
        sound = np.concatenate([np.zeros(500), tone(300 + 40 * number, 0.2, rate)])
        data = encoded(sound, rate, ("WAV", "FLAC")[number % 2])
        (folder / f"{number % 2}_{number}.{('wav', 'flac')[number % 2]}").write_bytes(data)
    return folder


def test_sounds_of_a_request_come_out_as_the_prepared_ones(
    prepared: Prepared, order: Orders, recordings: Path, tmp_path: Path
) -> None:
    output, splits = prepared(
        source=str(recordings), prepare=PIPELINE, format={"type": "audio", "names": "{label}_{take}"}
    )
    with unpacked(order({}), output["artifact"]) as folder:
        told = preparation(_data.steps(folder), {"image": "image"})
    files.write_json(tmp_path / FILE, told)
    replica = Preparation(tmp_path)
    for frame in splits.values():
        for path, image in frame.select("path", "image").iter_rows():
            raw = (recordings.parent / path).read_bytes()
            sent = Tensor(name="image", datatype="BYTES", shape=(1,), data=[base64.b64encode(raw).decode()])
            assert base64.b64decode(replica.apply({"image": sent})["image"].data[0]) == image
    silence = Tensor(name="image", datatype="BYTES", shape=(1,), data=["AAAA"])
    with pytest.raises(Rejected, match="audio of row 0 is no sound"):
        replica.apply({"image": silence})


def test_two_processes_make_the_same_of_sounds_as_one(
    order: Orders, recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_ROWS", 9)
    what = {"source": str(recordings), "format": {"type": "audio"}, "prepare": PIPELINE, "max_damaged": 0.0}
    one, two = (
        prepare.carry_out(made, Reporter(made.work))
        for made in (order(what, run=f"by-{count}", threads=count) for count in (1, 2))
    )
    assert one["artifact"] == two["artifact"]


def test_damaged_sounds_are_counted_before_any_step_hears_them(prepared: Prepared, recordings: Path) -> None:
    (recordings / "0_0.wav").write_bytes((recordings / "0_0.wav").read_bytes()[:900])
    output, _ = prepared(
        source=str(recordings), prepare=PIPELINE[:2], format={"type": "audio"}, max_damaged=0.1
    )
    assert output["rows"] == {"train": 29}
    assert output["steps"][0]["dropped"] == {"damaged": 1}
