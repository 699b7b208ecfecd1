"""The examples' models beside what is plain: on the same rows, and for texts over the same tokens.

    python bench/baselines.py EXAMPLE... [--only] [--data FOLDER] [--threads 2]

Every model of the examples, from random weights or from a base, is prepared, trained and measured by the hall's own
stages, as its hall file says. Beside it stands what takes seconds: the commonest class and logistic regression
(scikit-learn) over TF-IDF or pixels; interpolated Kneser-Ney n-grams; how common each token is; for pairs of texts,
the cosine of TF-IDF, as it is and carried from one side to the other by linear regression. `--only` leaves the
models out. Prints a line for each and, last, one JSON object: model → who → metric.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).with_name("support")))

import examples
import numpy as np
import polars as pl
from examples import Stages
from ngrams import Ngrams
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, f1_score

from modelhall import tasks
from modelhall.core import plugins
from modelhall.core.kinds import Dataset, Model
from modelhall.core.orders import EvaluateOrder, FetchOrder, PrepareOrder, TrainOrder
from modelhall.stages import evaluate, fetch, prepare, train
from modelhall.tasks import Predictions, Task, _ranks

_FACTORS = 256
Splits = Mapping[str, pl.DataFrame]
Figures = dict[str, dict[str, float]]
"""Who → metric → value, on the test split."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", action="store_true", help="only the baselines")
    parser.add_argument("--data", type=Path, default=examples.DATA, metavar="FOLDER")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("examples", nargs="+", metavar="EXAMPLE")
    asked = parser.parse_args()
    found: dict[str, Figures] = {}
    for example in asked.examples:
        for name, (dataset, model) in examples.models(example, asked.data).items():
            with tempfile.TemporaryDirectory(prefix="bench-baselines-") as folder:
                stages = Stages(Path(folder), threads=asked.threads)
                found[name] = _figures(dataset, model, stages, only=asked.only)
            _print(name, found[name])
    print(json.dumps(found))


def _figures(dataset: Dataset, model: Model, stages: Stages, *, only: bool) -> Figures:
    data = stages.run(prepare, PrepareOrder.of(dataset))["artifact"]
    splits = stages.splits(data)
    positions = model.network.options.get("positions") if model.network else None
    task = tasks.fit(model.task, splits, model.columns, length=positions)
    figures = BASELINES[model.task](task, splits)
    return figures if only else figures | {model.name: _trained(model, data, stages)}


def _trained(model: Model, data: str, stages: Stages) -> dict[str, float]:
    base = None if model.base is None else stages.run(fetch, FetchOrder(base=model.base))["artifact"]
    begun = time.monotonic()
    trained = stages.run(
        train,
        TrainOrder(
            task=model.task, columns=model.columns, network=model.network, train=model.train, data=data,
            base=base,
        ),
    )  # fmt: skip
    metrics = stages.run(
        evaluate,
        EvaluateOrder(
            task=model.task, model=trained["artifact"], data=data, metrics=tuple(sorted(model.require))
        ),
    )["metrics"]
    return {**metrics, "parameters": trained["parameters"], "minutes": (time.monotonic() - begun) / 60}


def _of_texts(task: Task, splits: Splits) -> Figures:
    """Words and pairs of them; and characters, up to three, which is what there is where no blanks stand between
    words."""
    column = task.columns["text"]
    ways = {
        "TF-IDF of words + logistic regression": {"ngram_range": (1, 2)},
        "TF-IDF of characters + logistic regression": {"analyzer": "char", "ngram_range": (1, 3)},
    }
    told = {"the commonest class": _commonest(task, splits)}
    for way, options in ways.items():
        vectors = TfidfVectorizer(sublinear_tf=True, min_df=2, **options)
        told[way] = _regressed(
            task,
            splits,
            vectors.fit_transform(splits["train"][column]),
            vectors.transform(splits["test"][column]),
        )
    return told


def _of_pictures(task: Task, splits: Splits) -> Figures:
    pixels = [
        np.concatenate([
            task.batch(rows, [row])["pixel_values"].flatten(1).numpy() for row in range(len(rows))
        ])
        for rows in (task.examples(split, splits[split]) for split in ("train", "test"))
    ]  # fmt: skip
    return {
        "the commonest class": _commonest(task, splits),
        "logistic regression over pixels": _regressed(task, splits, *pixels),
    }


def _of_following(task: Task, splits: Splits) -> Figures:
    """Over the same sequences of tokens, each of which is read by itself."""
    rows = {split: [row.tolist() for row in task.examples(split, splits[split]).inputs] for split in splits}
    words = task.shape.sizes["vocabulary"]
    return {
        f"Kneser-Ney {order}-grams": {
            "perplexity": Ngrams(rows["train"], order=order, vocabulary=words).perplexity(rows["test"])
        }
        for order in (1, 2, 3, 4)
    }


def _of_masks(task: Task, splits: Splits) -> Figures:
    """The tokens that measuring asks for, by how common each is in the training split, one added to every count."""
    counts = Counter(token for row in task.examples("train", splits["train"]).inputs for token in row[1:-1])
    asked = [token for row in task.examples("test", splits["test"]).truth or () for token in row]
    (commonest, _), *_ = counts.most_common(1)
    whole = counts.total() + task.shape.sizes["vocabulary"]
    losses = [math.log(whole / (counts[token] + 1)) for token in asked]
    return {
        "how common a token is": {
            "perplexity": math.exp(float(np.mean(losses))),
            "token_accuracy": asked.count(commonest) / len(asked),
        }
    }


def _of_pairs(task: Task, splits: Splits) -> Figures:
    """Texts that have characters in common are near; and, where the two sides have none, latent factors of one
    (Deerwester et al. 1990) carried to those of the other."""
    sides = [
        splits[split][task.columns[part]] for part in ("anchor", "positive") for split in ("train", "test")
    ]
    vectors = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True, min_df=2)
    vectors.fit([*sides[0], *sides[2]])
    train, test, its_train, its_test = map(vectors.transform, sides)
    factors, its = (TruncatedSVD(_FACTORS, random_state=0).fit(one) for one in (train, its_train))
    carried = Ridge().fit(factors.transform(train), its.transform(its_train)).predict(factors.transform(test))
    numbers = task.examples("test", splits["test"]).truth
    return {
        "cosine of TF-IDF of characters": _found(test.toarray(), its_test.toarray(), numbers),
        "its factors, by linear regression": _found(carried, its.transform(its_test), numbers),
    }


def _found(anchors: np.ndarray, others: np.ndarray, numbers: Any) -> dict[str, float]:
    """The task's own metrics."""
    vectors = np.stack(
        [one / np.linalg.norm(one, axis=1, keepdims=True).clip(1e-9) for one in (anchors, others)], 1
    )
    places, _ = _ranks.of(vectors.astype(np.float32), np.asarray(numbers))
    told = Predictions(predicted=places.tolist(), scores=vectors)
    return {
        name: plugins.load("metric", name).measure(told)
        for name in ("mean_reciprocal_rank", "recall_at_1", "recall_at_10")
    }


def _commonest(task: Task, splits: Splits) -> dict[str, float]:
    truth = {split: np.asarray(task.examples(split, splits[split]).truth) for split in ("train", "test")}
    always = np.full_like(truth["test"], np.bincount(truth["train"]).argmax())
    return _classified(truth["test"], always)


def _regressed(task: Task, splits: Splits, train: Any, test: Any) -> dict[str, float]:
    truth = {split: np.asarray(task.examples(split, splits[split]).truth) for split in ("train", "test")}
    fitted = LogisticRegression(C=10, max_iter=300).fit(train, truth["train"])
    return _classified(truth["test"], fitted.predict(test))


def _classified(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    return {
        "accuracy": float(accuracy_score(truth, predicted)),
        "f1_macro": float(f1_score(truth, predicted, average="macro")),
    }


def _print(model: str, figures: Figures) -> None:
    print(model)
    for who, values in figures.items():
        print(f"  {who:46}" + "  ".join(f"{name} {value:.4g}" for name, value in values.items()), flush=True)


BASELINES: dict[str, Callable[[Task, Splits], Figures]] = {
    "embedding": _of_pairs,
    "fill-mask": _of_masks,
    "image-classification": _of_pictures,
    "text-classification": _of_texts,
    "text-generation": _of_following,
}
"""By task."""


if __name__ == "__main__":
    main()
