"""Preparing text for a language model, per core: filter → exact → near duplicates → tokens → sequences → shards.

    python bench/data.py [--quick] [--datatrove PYTHON] [--text-dedup PYTHON]

Beside it, on the same corpus in the same run, datatrove does the same by a Python that has it: make one by
`python -m venv DIR` and `DIR/bin/pip install datatrove orjson spacy tokenizers 'xxhash<4'`. text-dedup finds the near
duplicates of that corpus, and nothing else, by a Python that has it (`pip install text-dedup`). Everything is
processor time of processes of its own, so other work on the machine matters little. Prints a table and, last, one
JSON object:

- `speedup_vs_datatrove`: MB of corpus a second and core over datatrove's; null where datatrove is not to be had;
- `near_speedup_vs_text_dedup`: the same of finding near duplicates alone, over text-dedup's MinHash;
- `mb_per_s`: MB of corpus a second and core;
- `dedup_f1`: of dropping the planted near copies, and nothing else that is not an exact copy or a bad text;
- `ids_identical`: whether the tokens are those that the `tokenizers` library tells;
- `memory_ratio`, `slope_deviation`: peak memory and time a MB of the largest corpus, against the smallest; the time
  to start, which a corpus of one MB tells, is no part of it. Smaller ones are prepared more often, before and after
  the larger, so that each mean is of as much work, and a machine that becomes slower or faster shows in none more
  than in the others.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).with_name("support")))

import corpus
import polars as pl
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from modelhall.core.program import Order

MB = 10**6
SIZES_MB, QUICK_SIZES_MB = (500, 1000, 2000), (20, 40, 80)
COMPARED_MB, QUICK_COMPARED_MB = 24, 8
NEAR = 0.8
END = "<|endoftext|>"
CHECKED_TEXTS = 5000
_THREADS = ("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class Used:
    """What a program used."""

    cpu_s: float
    peak_mib: float


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="small corpora")
    parser.add_argument(
        "--datatrove", metavar="PYTHON", default=sys.executable, help="one that has datatrove"
    )
    parser.add_argument(
        "--text-dedup", metavar="PYTHON", default=sys.executable, help="one that has text-dedup"
    )
    asked = parser.parse_args()
    sizes = QUICK_SIZES_MB if asked.quick else SIZES_MB
    compared_mb = QUICK_COMPARED_MB if asked.quick else COMPARED_MB
    with tempfile.TemporaryDirectory(prefix="bench-data-") as name:
        folder = Path(name)
        figures = _judged(folder, sizes[0] / 10)
        figures |= _compared(folder, compared_mb, asked.datatrove)
        figures |= _near_compared(folder, compared_mb, asked.text_dedup)
        figures |= _growing(folder, sizes)
    print(json.dumps(figures))


def _judged(folder: Path, size_mb: float) -> dict[str, Any]:
    """Which planted copies are found, and whether the tokens are right."""
    planted = corpus.write(folder / "judged", int(size_mb * MB))
    tokenizer = _tokenizer(folder)
    find = [_step("filter", rules="gopher"), _step("deduplicate", near=NEAR)]
    kept = _rows(folder, [*find, _step("select", columns=["id"])], "find")["id"].to_list()
    texts = pl.concat(pl.read_ndjson(path) for path in sorted((folder / "judged").iterdir()))
    dropped = set(texts["id"].to_list()) - set(kept) - planted.bad - planted.exact
    right = len(dropped & planted.near)
    f1 = 2 * right / (len(dropped) + len(planted.near))
    tokens = _rows(folder, [_tokenize(tokenizer)], "tokens")["tokens"].head(CHECKED_TEXTS).to_list()
    library = Tokenizer.from_file(str(tokenizer))
    told = [encoding.ids for encoding in library.encode_batch(texts["text"].head(CHECKED_TEXTS).to_list())]
    print(
        f"{size_mb:g} MB: {len(planted.near)} near copies planted, {right} found, {len(dropped) - right} too many"
    )
    return {"dedup_f1": round(f1, 4), "ids_identical": tokens == told}


def _compared(folder: Path, size_mb: int, python: str) -> dict[str, Any]:
    """Against datatrove, on one corpus."""
    corpus.write(folder / "compared", size_mb * MB, seed=2)
    tokenizer = folder / "tokenizer.json"
    ours, _ = _prepare(folder / "compared", _whole(tokenizer), folder / "ours")
    print(f"{'':12} {'MB':>6} {'CPU s':>9} {'MB/s':>8} {'peak MiB':>9}")
    _print("modelhall", size_mb, ours)
    if not _has(python, "datatrove"):
        return {"speedup_vs_datatrove": None}
    program = Path(__file__).with_name("support") / "with_datatrove.py"
    theirs = _run([python, program, folder / "compared", tokenizer, folder / "theirs"], folder / "theirs.log")
    _print("datatrove", size_mb, theirs)
    return {"speedup_vs_datatrove": round(theirs.cpu_s / ours.cpu_s, 1)}


def _near_compared(folder: Path, size_mb: int, python: str) -> dict[str, Any]:
    """Near duplicates alone, of the same corpus, against text-dedup's MinHash at the same threshold and n-grams."""
    near = [_step("deduplicate", near=NEAR, columns=["text"])]
    ours, _ = _prepare(folder / "compared", near, folder / "ours-near")
    _print("near alone", size_mb, ours)
    if not _has(python, "text_dedup"):
        return {"near_speedup_vs_text_dedup": None}
    asked = {
        "path": "json", "data_files": folder / "compared" / "*.jsonl", "split": "train", "column": "text",
        "cache_dir": folder / "text-dedup-cache", "output": folder / "text-dedup", "num_proc": 1,
        "ngram": 5, "threshold": NEAR, "num_perm": 128, "hash_func": "xxh3",
    }  # fmt: skip
    words = [word for name, value in asked.items() for word in (f"--{name}", value)]
    theirs = _run([python, "-m", "text_dedup.minhash", *words], folder / "text-dedup.log")
    _print("text-dedup", size_mb, theirs)
    return {"near_speedup_vs_text_dedup": round(theirs.cpu_s / ours.cpu_s, 1)}


def _has(python: str, package: str) -> bool:
    """Whether a Python has a package; says so when it has not."""
    there = not subprocess.run([python, "-c", f"import {package}"], capture_output=True).returncode
    if not there:
        print(f"{package} is not installed in {python}")
    return there


def _growing(folder: Path, sizes: tuple[int, ...]) -> dict[str, Any]:
    """Time and memory as the corpus grows."""
    smallest, middle, largest = sizes
    used: dict[int, list[Used]] = {}
    for size_mb in (1, smallest, smallest, middle, largest, middle, smallest, smallest, 1):
        used.setdefault(size_mb, []).append(_of_size(folder, size_mb))
    start_s = _mean_cpu_s(used[1])
    a_mb = {size: (_mean_cpu_s(used[size]) - start_s) / (size - 1) for size in sizes}
    peak_mib = {size: max(each.peak_mib for each in used[size]) for size in sizes}
    return {
        "mb_per_s": round(largest / _mean_cpu_s(used[largest]), 1),
        "memory_ratio": round(peak_mib[largest] / peak_mib[smallest], 3),
        "slope_deviation": round(abs(a_mb[largest] / a_mb[smallest] - 1), 3),
    }


def _of_size(folder: Path, size_mb: int) -> Used:
    """What preparing a corpus of one size uses; the corpus is written the first time."""
    texts, place = folder / f"of-{size_mb}", folder / "prepared"
    if not texts.exists():
        corpus.write(texts, size_mb * MB, seed=3)
    used, _ = _prepare(texts, _whole(folder / "tokenizer.json"), place)
    shutil.rmtree(place)
    _print("modelhall", size_mb, used)
    return used


def _mean_cpu_s(used: list[Used]) -> float:
    return sum(each.cpu_s for each in used) / len(used)


def _whole(tokenizer: Path) -> list[dict[str, Any]]:
    return [
        _step("filter", rules="gopher"),
        _step("deduplicate", near=NEAR, columns=["text"]),
        _tokenize(tokenizer),
        _step("pack", length=2048, end=Tokenizer.from_file(str(tokenizer)).token_to_id(END)),
    ]


def _tokenize(tokenizer: Path) -> dict[str, Any]:
    digest = hashlib.sha256(tokenizer.read_bytes()).hexdigest()
    return _step("tokenize", file=str(tokenizer), digest=digest)


def _step(name: str, **options: Any) -> dict[str, Any]:
    return {"name": name, "options": options}


def _tokenizer(folder: Path) -> Path:
    """Byte-level BPE of 32,000 tokens, trained on the first texts there are."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=32_000, special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    first = sorted((folder / "judged").iterdir())[0]
    tokenizer.train_from_iterator(pl.read_ndjson(first)["text"].head(20_000).to_list(), trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def _rows(folder: Path, steps: list[dict[str, Any]], name: str) -> pl.DataFrame:
    """The rows that some steps make of the judged corpus."""
    _, made = _prepare(folder / "judged", steps, folder / name)
    blobs = folder / name / "blobs"
    listed = json.loads((blobs / made[:2] / made[2:4] / made).read_bytes())["files"]
    shards = [file["digest"] for file in listed if file["path"].endswith(".parquet")]
    return pl.concat(pl.read_parquet(blobs / shard[:2] / shard[2:4] / shard) for shard in shards)


def _prepare(source: Path, steps: list[dict[str, Any]], place: Path) -> tuple[Used, str]:
    """Run the stage as the hall does; what it used, and the artifact."""
    folders = {name: place / name for name in ("work", "state", "cache")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    what = {"source": str(source), "format": {}, "prepare": steps, "max_damaged": 0.0}
    order = Order(run="bench", attempt=1, what=what, blobs=f"folder://{place}/blobs", threads=1, **folders)
    (place / "order.json").write_text(order.model_dump_json())
    used = _run([sys.executable, "-m", "modelhall.stages.prepare", place / "order.json"], place / "log")
    return used, json.loads((place / "work" / "result.json").read_bytes())["output"]["artifact"]


def _run(command: list[Any], log: Path) -> Used:
    environment = os.environ | dict.fromkeys(_THREADS, "1") | {"TOKENIZERS_PARALLELISM": "false"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command], env=environment, stdout=output, stderr=output
        )
        _, status, spent = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[:3]} failed:\n{log.read_text()[-3000:]}")
    return Used(cpu_s=spent.ru_utime + spent.ru_stime, peak_mib=spent.ru_maxrss / 1024)


def _print(name: str, size_mb: int, used: Used) -> None:
    print(
        f"{name:12} {size_mb:6} {used.cpu_s:9.1f} {size_mb / used.cpu_s:8.2f} {used.peak_mib:9.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
