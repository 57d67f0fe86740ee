"""Selection: which solution paths of runs are worth learning from (rejection sampling)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from eval.case import Case, Cases
from eval.verdict import judge
from trainer.lessons import giving_up, settling_doubts, trying_again


def grounded_paths(
    runs: Sequence[Path], give_up: bool = False, try_again: bool = False, doubts: bool = False
) -> Iterator[dict[str, Any]]:
    """Give the grounded answers of runs, one an instruction: that of the first run that has one.

    Args:
        runs: runs over the same or other instructions; those before count first.
        give_up: beside them, where another answer to the instruction is wrong by a call, give that
            call with its result, and giving up.
        try_again: beside them, give the right call in the place of that wrong one, after a search's
            prompt for another.
        doubts: beside each right path, give those of its calls that settle doubts, after a doubting
            search's prompt for them.
    """
    opened = [Cases(run) for run in runs]
    right: dict[tuple[str, str], Cases] = {}
    for cases in opened:
        for case in cases:
            if _named(case) not in right and _is_grounded(case):
                right[_named(case)] = cases
                yield case.answer
                yield from settling_doubts(case.answer) if doubts else ()
    makers = [make for make, wanted in ((giving_up, give_up), (trying_again, try_again)) if wanted]
    for cases in opened if makers else ():
        for case in cases:
            found = right.get(_named(case), cases)
            if found is not cases and not _is_grounded(case):
                answer = found.read(case.instruction.id).answer
                yield from filter(None, (make(case.answer, answer) for make in makers))


def _named(case: Case) -> tuple[str, str]:
    """Name an instruction: two that were made apart may bear the same id."""
    return case.instruction.id, case.instruction.query


def _is_grounded(case: Case) -> bool:
    return judge(case.instruction, case.answer).grounded
