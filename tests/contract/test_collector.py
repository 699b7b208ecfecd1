"""Figures as a collector of OpenTelemetry's receives them: by OTLP over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="handing on figures needs the extra `traces`")

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from otlp import Collector

from modelhall.adapters.figures.otlp import open_figures
from modelhall.app.hall import Hall
from modelhall.core.errors import NotNow
from modelhall.core.ports.figures import Family
from modelhall.settings import Settings

CPUS = Family("modelhall_node_cpus", "Processors.", False, [({"node": "n1"}, 4.0), ({"node": "n2"}, 2.5)])
JOULES = Family("modelhall_node_energy_joules_total", "Energy.", True, [({}, 1e9)])


class Taking(Collector):
    """Keeps the metrics it is sent, by their names."""

    def __init__(self) -> None:
        self.metrics: dict[str, Any] = {}
        super().__init__("/v1/metrics", self._take)

    def _take(self, body: bytes) -> None:
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for scope in resource.scope_metrics:
                self.metrics |= {metric.name: metric for metric in scope.metrics}


@pytest.fixture
def taking() -> Iterator[Taking]:
    running = Taking()
    yield running
    running.stop()


def test_gauges_and_counters_come_with_their_labels_and_instants(taking: Taking) -> None:
    open_figures(taking.url, since=100.0).hand_on([CPUS, JOULES], 110.0)
    cpus, joules = taking.metrics[CPUS.name], taking.metrics[JOULES.name]
    points = {point.attributes[0].value.string_value: point.as_double for point in cpus.gauge.data_points}
    assert points == {"n1": 4.0, "n2": 2.5}
    (point,) = joules.sum.data_points
    assert (joules.sum.is_monotonic, point.as_double) == (True, 1e9)
    assert (point.start_time_unix_nano, point.time_unix_nano) == (100 * 10**9, 110 * 10**9)


def test_a_collector_that_refuses_is_a_matter_of_time(taking: Taking) -> None:
    taking.status = 400
    with pytest.raises(NotNow):
        open_figures(taking.url, since=0.0).hand_on([CPUS], 1.0)


def test_a_hall_hands_on_what_it_sees_and_a_collector_that_is_gone_delays_nothing(
    taking: Taking, tmp_path: Path
) -> None:
    async def look(url: str, home: Path) -> None:
        hall = Hall(Settings(home=home, metrics=url))
        try:
            await hall.watching.look()
        finally:
            await hall.close()

    asyncio.run(look(taking.url, tmp_path / "one"))
    assert taking.metrics["modelhall_node_cpus"].gauge.data_points[0].as_double > 0
    asyncio.run(look("http://127.0.0.1:9/v1/metrics", tmp_path / "other"))
