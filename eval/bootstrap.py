"""Means with the interval that says how far to trust them, by the bootstrap."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

RESAMPLES = 1000
"""Samples that an interval is made from."""

LEAST_CLUSTERS = 5
"""Clusters that must be there to draw whole clusters; with fewer, single values are drawn."""


@dataclass(frozen=True)
class Mean:
    """A mean with its 95% interval.

    Attributes:
        value: the mean; None of nothing.
        low: where the interval begins.
        high: where it ends.
        count: of how many values.
    """

    value: float | None
    low: float | None
    high: float | None
    count: int

    def to_json(self) -> dict[str, Any]:
        """Give mean, interval and count."""
        numbers = {"mean": self.value, "low": self.low, "high": self.high}
        rounded = {n: None if v is None else round(v, 6) for n, v in numbers.items()}
        return {**rounded, "count": self.count}

    def __str__(self) -> str:
        if self.value is None or self.low is None or self.high is None:
            return "-"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap_mean(values: Sequence[tuple[str, float]], seed: int = 0) -> Mean:
    """Give the mean of values that come in clusters, with its percentile interval.

    Values of one cluster (the calls of one API) are alike, so whole clusters are drawn (Davison
    and Hinkley, 1997, section 3.8).

    Args:
        values: each with the name of its cluster.
        seed: seeds the draws.
    """
    if not values:
        return Mean(None, None, None, 0)
    by_cluster: dict[str, list[float]] = defaultdict(list)
    for name, value in values:
        by_cluster[name].append(value)
    clusters = list(by_cluster.values())
    if len(clusters) < LEAST_CLUSTERS:
        clusters = [[value] for _, value in values]
    sums = [(sum(cluster), len(cluster)) for cluster in clusters]
    draw = random.Random(seed)
    means = sorted(_mean(draw.choices(sums, k=len(sums))) for _ in range(RESAMPLES))
    low, high = means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES) - 1]
    return Mean(_mean(sums), low, high, len(values))


def _mean(sums: Sequence[tuple[float, int]]) -> float:
    return sum(total for total, _ in sums) / sum(count for _, count in sums)
