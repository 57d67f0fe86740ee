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
        give_up: beside them, of each instruction, give the first answer whose calls returned
            none of the facts, with giving up in its place. Where some came back the path was on
            its way, and a model that is taught to leave it leaves any.
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
    """Tell an answer of whose facts not one was returned on its path."""
    chains = case.answer["compare_candidates"]
    facts = case.instruction.facts
    return bool(chains and facts) and not any(is_returned(fact, chains[0]) for fact in facts)
