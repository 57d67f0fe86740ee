"""Preference between two answers to one instruction, and the win rates that follow from it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from eval.case import Case
from eval.conversion import answer_text, steps_of
from eval.judge import Judge, Poll
from eval.statistics import Rate

Side = Literal["first", "second", "tie"]


@dataclass(frozen=True)
class Preference:
    """Which of two answers is better, and by which rule.

    Attributes:
        instruction: the instruction's id.
        winner: the better one; None where the judge gave no verdict.
        rule: what decided.
        swayed: the judge changed its mind when the answers changed places.
        polls: the judge's votes, in both orders, where it was asked.
    """

    instruction: str
    winner: Side | None
    rule: str
    swayed: bool = False
    polls: tuple[Poll, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give the preference; the votes only where the judge was asked."""
        shown: dict[str, Any] = {
            "instruction": self.instruction,
            "winner": self.winner,
            "rule": self.rule,
        }
        if self.polls:
            shown["swayed"] = self.swayed
            shown["votes"] = [poll.to_json() for poll in self.polls]
        return shown


def prefer(first: Case, second: Case, statuses: tuple[str | None, ...], judge: Judge) -> Preference:
    """Compare two answers by the paper's ordered rules (section 3.1, appendix A.5).

    1. An answer beats none.
    2. Both give an answer: one that solves beats one that does not; of two that solve, the one
       with fewer steps, then the one whose final answer the judge finds better; of two that do
       not, the one whose path got further.
    3. Neither gives one: the one whose path got further.

    A path got further with more successful calls, then with more different tools, then with fewer
    steps.

    Args:
        first: the one answer.
        second: the other.
        statuses: solved, unsolved or unsure, of both.
        judge: compares final answers.
    """
    told = [bool(answer_text(case.converted).strip()) for case in (first, second)]
    name = first.instruction.id
    if told[0] != told[1]:
        return Preference(name, _side(told[0] - told[1]), "an answer beats none")
    if not told[0]:
        return Preference(name, _further(first, second), "neither answers: the path decides")
    solved = [status == "solved" for status in statuses]
    if solved[0] != solved[1]:
        return Preference(name, _side(solved[0] - solved[1]), "one solves")
    if not solved[0]:
        return Preference(name, _further(first, second), "neither solves: the path decides")
    steps = [case.converted["answer"]["total_steps"] for case in (first, second)]
    if steps[0] != steps[1]:
        return Preference(name, _side(steps[1] - steps[0]), "both solve: fewer steps")
    return ask_both_ways(first, second, judge, whole=False, rule="both solve: better answer")


def prefer_solvable(
    first: Case, second: Case, statuses: tuple[str | None, ...], judge: Judge
) -> Preference:
    """Compare two answers as StableToolBench does for its solvable win rate.

    Solved beats unsolved; otherwise the judge compares the whole answers.
    """
    name = first.instruction.id
    if set(statuses) == {"solved", "unsolved"}:
        return Preference(name, _side(1 if statuses[0] == "solved" else -1), "one solves")
    return ask_both_ways(first, second, judge, whole=True, rule="the judge compares")


def ask_both_ways(first: Case, second: Case, judge: Judge, whole: bool, rule: str) -> Preference:
    """Ask a judge in both orders; an answer that wins only in one place has not won.

    Args:
        first: the one answer.
        second: the other.
        judge: is asked.
        whole: compare the paths, not the final answers alone.
        rule: the rule to name.
    """
    name = first.instruction.id
    if first.converted["answer"] == second.converted["answer"]:
        return Preference(name, "tie", "equal answers")
    straight, swapped = judge.better(first, second, whole), judge.better(second, first, whole)
    polls = (straight, swapped)
    turned: dict[str | None, Side | None] = {
        "first": "second",
        "second": "first",
        "tie": "tie",
        "unsure": "tie",
        None: None,
    }
    one, other = turned[turned[straight.label]], turned[swapped.label]
    if one is None or other is None:
        return Preference(name, None, rule, False, polls)
    if one == other:
        return Preference(name, one, rule, False, polls)
    swayed = "tie" not in (one, other)
    decided = "tie" if swayed else (one if other == "tie" else other)
    return Preference(name, decided, rule, swayed, polls)


@dataclass(frozen=True)
class WinRate:
    """How often the first side wins.

    Attributes:
        wins: wins over all that were decided.
        losses: how often the second side wins.
        ties: how often neither does.
        swayed: ties that are none but a judge's liking for a place.
        undecided: instructions that the judge gave no verdict on.
        rules: how often each rule decided.
    """

    wins: Rate
    losses: int
    ties: int
    swayed: int
    undecided: tuple[str, ...]
    rules: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Give the rate and what it rests on."""
        return {
            "win_rate": self.wins.to_json(),
            "losses": self.losses,
            "ties": self.ties,
            "swayed": self.swayed,
            "undecided": list(self.undecided),
            "rules": self.rules,
        }

    def __str__(self) -> str:
        return f"{self.wins}, {self.ties} ties, {self.losses} losses"


def win_rate(preferences: Sequence[Preference]) -> WinRate:
    """Count preferences; what the judge did not decide is named, not counted."""
    decided = [p for p in preferences if p.winner is not None]
    winners = Counter(p.winner for p in decided)
    return WinRate(
        Rate(winners["first"], len(decided)),
        winners["second"],
        winners["tie"],
        sum(p.swayed for p in decided),
        tuple(p.instruction for p in preferences if p.winner is None),
        dict(sorted(Counter(p.rule for p in decided).items())),
    )


def _side(sign: int) -> Side:
    return "first" if sign > 0 else "second" if sign < 0 else "tie"


def _further(first: Case, second: Case) -> Side:
    one, other = _progress(first), _progress(second)
    return _side((one > other) - (one < other))


def _progress(case: Case) -> tuple[int, int, int]:
    """Count successful calls, the tools that answered them, and, negated, the steps."""
    names = [
        message["name"]
        for role, message in steps_of(case.converted)
        if role == "tool" and message["name"] != "Finish" and succeeded(message["response"])
    ]
    tools = {name.rpartition("_for_")[2] for name in names}
    return len(names), len(tools), -case.converted["answer"]["total_steps"]


def succeeded(response: str) -> bool:
    """Tell whether an observation (`{"error": ..., "response": ...}`, maybe cut) has no error."""
    return response.replace(" ", "")[:11] == '{"error":""'
