"""Contests: one run against another, instruction by instruction."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eval.case import Cases
from eval.evaluation import Evaluation
from eval.judge import Judge
from eval.labels import SCORES
from eval.preference import Preference, WinRate, prefer, prefer_solvable, win_rate
from eval.statistics import Difference, mcnemar, paired_bootstrap


@dataclass(frozen=True)
class Contest:
    """One run against another over the instructions that both answered.

    Attributes:
        against: what the other run is called.
        wins: win rate by the paper's ordered rules.
        solvable_wins: StableToolBench's solvable win rate.
        preferences: the paper's preference on each instruction.
        difference: of the mean status scores (solved 1, unsure a half), this run less the other.
        lost: instructions that the other alone solves.
        won: instructions that this run alone solves.
        p_value: of McNemar's exact test on those two counts.
        unshared: instructions that only one of the two has.
    """

    against: str
    wins: WinRate
    solvable_wins: WinRate
    preferences: list[Preference]
    difference: Difference
    lost: list[str]
    won: list[str]
    p_value: float
    unshared: list[str]

    def to_json(self) -> dict[str, Any]:
        """Give the figures for `--json`."""
        return {
            "against": self.against,
            "preference": self.wins.to_json(),
            "solvable": self.solvable_wins.to_json(),
            "difference": self.difference.to_json(),
            "lost": self.lost,
            "won": self.won,
            "mcnemar_p": round(self.p_value, 6),
            "unshared": self.unshared,
        }


def contest(
    ours: Cases,
    our_evaluation: Evaluation,
    others: Cases,
    their_evaluation: Evaluation,
    judge: Judge,
    advance: Callable[[], object] = lambda: None,
) -> Contest:
    """Let two judged runs compete.

    Args:
        ours: the answers whose wins are counted.
        our_evaluation: their verdicts.
        others: the answers to compare with.
        their_evaluation: their verdicts, by the same judges.
        judge: says which of two answers is better.
        advance: told of each compared instruction.
    """
    shared = [name for name in ours.names if name in others]
    preferences, solvable = [], []
    for name in shared:
        pair = ours.read(name), others.read(name)
        statuses = our_evaluation.status(name), their_evaluation.status(name)
        preferences.append(prefer(*pair, statuses, judge))
        solvable.append(prefer_solvable(*pair, statuses, judge))
        advance()
    decided = [
        (name, before, after)
        for name in shared
        if (before := their_evaluation.status(name)) and (after := our_evaluation.status(name))
    ]
    lost = [n for n, before, after in decided if before == "solved" != after]
    won = [n for n, before, after in decided if after == "solved" != before]
    return Contest(
        f"{others.model} {others.method}",
        win_rate(preferences),
        win_rate(solvable),
        preferences,
        paired_bootstrap(
            [SCORES[before] for _, before, _ in decided], [SCORES[after] for *_, after in decided]
        ),
        lost,
        won,
        mcnemar(len(lost), len(won)),
        sorted(set(others.names).symmetric_difference(ours.names)),
    )
