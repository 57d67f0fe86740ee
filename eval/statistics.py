"""Rates, differences and agreement, each with what says how far to trust it.

The standard library is enough for all of them, so the base install needs no scipy.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt
from random import Random
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


@dataclass(frozen=True)
class Difference:
    """A difference of two paired means, with the interval that resampling gives it.

    Attributes:
        value: the second mean less the first.
        low: lower end of the interval.
        high: upper end of the interval.
        pairs: how many pairs it rests on.
    """

    value: float
    low: float
    high: float
    pairs: int

    def to_json(self) -> dict[str, Any]:
        """Give the difference and its interval."""
        return {
            "difference": round(self.value, 6),
            "low": round(self.low, 6),
            "high": round(self.high, 6),
            "pairs": self.pairs,
        }

    def __str__(self) -> str:
        return f"{self.value:+.1%} [{self.low:+.1%}, {self.high:+.1%}]"


def paired_bootstrap(
    before: Sequence[float],
    after: Sequence[float],
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Give the mean difference of paired scores with a percentile bootstrap interval.

    Pairs are drawn, not single scores (Efron and Tibshirani, 1993, chapter 13), so what makes an
    instruction hard for both sides does not widen the interval.

    Args:
        before: scores of the first side, one per instruction.
        after: scores of the second side, in the same order.
        resamples: how often the pairs are drawn again.
        confidence: how often such an interval holds the true difference.
        seed: seeds the draws; equal seeds give equal intervals.

    Raises:
        ValueError: the sides are not equally long.
    """
    changes = [b - a for a, b in zip(before, after, strict=True)]
    if not changes:
        return Difference(0.0, -1.0, 1.0, 0)
    draw, size = Random(seed), len(changes)
    means = sorted(sum(draw.choices(changes, k=size)) / size for _ in range(resamples))
    tail = (1 - confidence) / 2
    low, high = means[int(tail * resamples)], means[min(resamples - 1, int((1 - tail) * resamples))]
    return Difference(sum(changes) / size, low, high, size)


def mcnemar(lost: int, won: int) -> float:
    """Give the two-sided p-value of McNemar's exact test.

    Args:
        lost: pairs that passed on the first side alone.
        won: pairs that passed on the second side alone.
    """
    changed = lost + won
    tail = sum(comb(changed, k) for k in range(min(lost, won) + 1)) / 2**changed
    return float(min(1.0, 2 * tail))


@dataclass(frozen=True)
class Agreement:
    """How far two judges agree on the same answers.

    Attributes:
        kappa: Cohen's kappa (1960); None where chance alone makes them agree always.
        agreed: the share of answers that both gave one label.
        table: counts by the first judge's label and the second's.
    """

    kappa: float | None
    agreed: Rate
    table: dict[tuple[str, str], int]

    def to_json(self) -> dict[str, Any]:
        """Give kappa, agreement and counts."""
        return {
            "kappa": None if self.kappa is None else round(self.kappa, 6),
            "agreement": self.agreed.to_json(),
            "table": {f"{a} / {b}": n for (a, b), n in sorted(self.table.items())},
        }

    def __str__(self) -> str:
        kappa = "undefined" if self.kappa is None else f"{self.kappa:.3f}"
        return f"kappa {kappa}, agreement {self.agreed}"


def agreement(first: Sequence[str], second: Sequence[str]) -> Agreement:
    """Compare two judges' labels of the same answers.

    Args:
        first: labels of the one judge.
        second: labels of the other, in the same order.

    Raises:
        ValueError: the judges did not label equally many answers.
    """
    return agreement_of(Counter(zip(first, second, strict=True)))


def agreement_of(table: Counter[tuple[str, str]]) -> Agreement:
    """Compare two judges' labels by their counts.

    Args:
        table: answers by the first judge's label and the second's.
    """
    total = table.total()
    agreed = sum(n for (a, b), n in table.items() if a == b)
    ones: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for (one, other), n in table.items():
        ones[one] += n
        others[other] += n
    chance = sum(n * others[label] for label, n in ones.items()) / total**2 if total else 1.0
    kappa = (agreed / total - chance) / (1 - chance) if chance < 1 else None
    return Agreement(kappa, Rate(agreed, total), dict(table))
