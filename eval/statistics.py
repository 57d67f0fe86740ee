"""Rates with the interval that says how far to trust them."""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any


@dataclass(frozen=True)
class Rate:
    """A share of successes.

    Attributes:
        successes: how many succeeded.
        total: of how many.
    """

    successes: int
    total: int

    @property
    def value(self) -> float:
        """The share; 0 of nothing."""
        return self.successes / self.total if self.total else 0.0

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Give Wilson's score interval (Wilson, 1927); 0 to 1 where nothing was tried.

        Args:
            confidence: how often such an interval holds the true rate.
        """
        if not self.total:
            return 0.0, 1.0
        z = NormalDist().inv_cdf((1 + confidence) / 2)
        n, p = self.total, self.value
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, centre - half), min(1.0, centre + half)

    def to_json(self) -> dict[str, Any]:
        """Give counts, share and 95% interval."""
        low, high = self.interval()
        return {
            "successes": self.successes,
            "total": self.total,
            "rate": round(self.value, 6),
            "low": round(low, 6),
            "high": round(high, 6),
        }

    def __str__(self) -> str:
        low, high = self.interval()
        return f"{self.value:.1%} [{low:.1%}, {high:.1%}]"
