"""Trainings as runs of an MLflow tracking server or file store."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from modelhall.core.errors import NotNow, Rejected
from modelhall.doors.trainings import Training

LONGEST_VALUE = 6000
"""Characters of a parameter, as MLflow takes them."""
AT_ONCE = 100
"""Parameters of one request; of metrics it takes ten times as many."""


def write(trainings: Sequence[Training], *, uri: str, experiment: str) -> list[str]:
    """One run in `experiment` for each training: settings as parameters, figures and curves as metrics,
    circumstances as tags; their ids. Raises NotNow when the server cannot be reached."""
    try:
        # Of an extra, and slow to import.
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ImportError:
        raise Rejected("MLflow is not installed: pip install 'modelhall[mlflow]'", field="mlflow") from None
    ids = []
    try:
        client = MlflowClient(tracking_uri=uri)
        found = client.get_experiment_by_name(experiment)
        place = found.experiment_id if found else client.create_experiment(experiment)
        for training in trainings:
            run = client.create_run(place, run_name=training.name)
            at = run.info.start_time
            tags = [RunTag(f"hall.{name}", str(value)) for name, value in training.circumstances.items()]
            client.log_batch(run.info.run_id, tags=tags)
            for some in _parts(training.settings.items(), AT_ONCE):
                params = [Param(name, str(value)[:LONGEST_VALUE]) for name, value in some]
                client.log_batch(run.info.run_id, params=params)
            for some in _parts(_metrics(training), 10 * AT_ONCE):
                metrics = [Metric(_name(name), value, at, step) for name, value, step in some]
                client.log_batch(run.info.run_id, metrics=metrics)
            client.set_terminated(run.info.run_id)
            ids.append(run.info.run_id)
    except MlflowException as error:
        raise NotNow(f"MLflow at {uri} said no: {error}", delay_s=10) from None
    return ids


def _metrics(training: Training) -> Iterator[tuple[str, float, int]]:
    for name, value in training.figures.items():
        # Apart from the curves: the loss of the test split is no point of that of the training.
        yield f"figures/{name}", float(value), 0
    for name, curve in training.curves.items():
        yield from ((name, value, int(step)) for step, value in curve)


def _name(name: str) -> str:
    """As MLflow takes it: of a slice `accuracy[sex=Female]` it becomes `accuracy.sex.Female`."""
    kept = "".join(letter if letter.isalnum() or letter in "_-. /" else "." for letter in name)
    return kept.strip(".")


def _parts(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    left = iter(items)
    while some := list(itertools.islice(left, size)):
        yield some
