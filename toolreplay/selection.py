"""Selection: which solution paths of runs are worth learning from (rejection sampling)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from eval.case import Case, Cases
from eval.verdict import is_returned, judge
from trainer.dataset import giving_up


def grounded_paths(runs: Sequence[Path], give_up: bool = False) -> Iterator[dict[str, Any]]:
    """Give the grounded answers of runs, one an instruction: that of the first run that has one.

    Args:
        runs: runs over the same or other instructions; those before count first.
        give_up: beside them, of each instruction, give the first answer that none of its calls
            backs, with giving up in its place.
    """
    opened = [Cases(run) for run in runs]
    taken: set[str] = set()
    for cases in opened:
        for case in cases:
            name = case.instruction.id
            if name not in taken and judge(case.instruction, case.answer).grounded:
                taken.add(name)
                yield case.answer
    lessons: set[str] = set()
    for cases in opened if give_up else ():
        for case in cases:
            if case.instruction.id not in lessons and _is_unbacked(case):
                lessons.add(case.instruction.id)
                yield giving_up(case.answer)


def _is_unbacked(case: Case) -> bool:
    """Tell an answer that its own path could not give: a fact was never returned."""
    chains = case.answer["compare_candidates"]
    facts = case.instruction.facts
    return bool(chains and facts) and not all(is_returned(fact, chains[0]) for fact in facts)
