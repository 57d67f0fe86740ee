"""What a gateway counts: answers by where they come from, and how long they took."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

OUTCOMES = ("recorded", "simulated", "live", "unrecorded", "failed", "unreadable")
"""What becomes of a call: its answer's provenance; or nothing answered, it failed or timed out, or
its arguments could not be read."""

BUCKETS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Upper bounds of the latency histogram, in seconds."""

METRICS_TYPE = CONTENT_TYPE_LATEST
"""The media type of `metrics`."""


class Statistics:
    """Counters of one gateway, since it was started."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        calls = Counter(
            "toolreplay_calls", "API calls, by outcome.", ["outcome"], registry=self._registry
        )
        seconds = Histogram(
            "toolreplay_call_seconds",
            "Seconds until an API call was answered, by outcome.",
            ["outcome"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        refused = Counter(
            "toolreplay_refused_requests",
            "Requests that were refused, by HTTP status.",
            ["status"],
            registry=self._registry,
        )
        self._calls = {outcome: calls.labels(outcome) for outcome in OUTCOMES}
        self._seconds = {outcome: seconds.labels(outcome) for outcome in OUTCOMES}
        self._refused = refused

    def answered(self, outcome: str, seconds: float) -> None:
        """Count an answer.

        Args:
            outcome: one of `OUTCOMES`.
            seconds: how long it took.
        """
        self._calls[outcome].inc()
        self._seconds[outcome].observe(seconds)

    def refused(self, status: int) -> None:
        """Count a request that was refused with an HTTP status."""
        self._refused.labels(str(status)).inc()

    def metrics(self) -> bytes:
        """Give all counters in Prometheus' text format."""
        return generate_latest(self._registry)

    def to_json(self) -> dict[str, Any]:
        """Give all counters as JSON.

        Returns:
            `calls` by outcome; `seconds` by outcome, with `count`, `sum`, `buckets` (how many took
            at most so long, by upper bound) and the bounds below which half (`p50`) and 99 of 100
            (`p99`) lie; `refused` by HTTP status.
        """
        calls, seconds, refused = dict.fromkeys(OUTCOMES, 0), {}, {}
        samples = [s for metric in self._registry.collect() for s in metric.samples]
        for sample in samples:
            if sample.name == "toolreplay_calls_total":
                calls[sample.labels["outcome"]] = int(sample.value)
            elif sample.name == "toolreplay_refused_requests_total":
                refused[sample.labels["status"]] = int(sample.value)
        for outcome, count in calls.items():
            if count:
                of_this = [s for s in samples if s.labels.get("outcome") == outcome]
                seconds[outcome] = _histogram(
                    {s.name + s.labels.get("le", ""): s.value for s in of_this}
                )
        return {"calls": calls, "seconds": seconds, "refused": refused}


def _histogram(values: dict[str, float]) -> dict[str, Any]:
    name = "toolreplay_call_seconds"
    prefix = f"{name}_bucket"
    buckets = {n.removeprefix(prefix): int(v) for n, v in values.items() if n.startswith(prefix)}
    count = int(values[f"{name}_count"])

    def bound(share: float) -> str:
        return next(le for le, below in buckets.items() if below >= share * count)

    return {
        "count": count,
        "sum": values[f"{name}_sum"],
        "p50": bound(0.5),
        "p99": bound(0.99),
        "buckets": buckets,
    }
