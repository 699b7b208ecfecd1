"""Figures to whatever collects OpenTelemetry's (the Collector, Mimir, …), by OTLP over HTTP.

The SDK's messages are filled directly: the hall has its own figures, looks and labels, and needs no instruments.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from modelhall.core.errors import NotNow
from modelhall.core.ports.figures import Family
from modelhall.version import __version__

EXPORT_S = 5.0


def open_figures(url: str, *, since: float) -> OtlpFigures:
    """Hand figures to the collector at a URL, such as http://127.0.0.1:4318/v1/metrics; nobody is asked yet. Counters
    are told as having begun at `since`, in seconds since the epoch."""
    return OtlpFigures(OTLPMetricExporter(endpoint=url, timeout=EXPORT_S), since)


class OtlpFigures:
    """The collector port over one exporter."""

    def __init__(self, exporter: OTLPMetricExporter, since: float) -> None:
        self._exporter = exporter
        self._since_ns = round(since * 1e9)
        self._about = Resource.create({"service.name": "modelhall", "service.version": __version__})

    def hand_on(self, families: Sequence[Family], at: float) -> None:
        metrics = [self._metric(family, round(at * 1e9)) for family in families]
        scope = ScopeMetrics(InstrumentationScope("modelhall"), metrics, "")
        told = self._exporter.export(MetricsData([ResourceMetrics(self._about, [scope], "")]))
        if told is not MetricExportResult.SUCCESS:
            raise NotNow("the collector of figures does not take them", delay_s=10)

    def _metric(self, family: Family, at_ns: int) -> Metric:
        points = [
            NumberDataPoint(dict(labels), self._since_ns, at_ns, float(value))
            for labels, value in family.rows
        ]
        data = Sum(points, AggregationTemporality.CUMULATIVE, True) if family.is_counter else Gauge(points)
        return Metric(family.name, family.words, "", data)
