"""Selection: which solution paths of runs are worth learning from (rejection sampling)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from eval.case import Case, Cases
from eval.verdict import is_returned, judge
from trainer.lessons import giving_up, trying_again


def grounded_paths(
    runs: Sequence[Path], give_up: bool = False, try_again: bool = False
) -> Iterator[dict[str, Any]]:
    """Give the grounded answers of runs, one an instruction: that of the first run that has one.

    Args:
        runs: runs over the same or other instructions; those before count first.
        give_up: beside them, of each instruction, give the first answer whose calls returned
            none of the facts, with giving up in its place. Where some came back the path was on
            its way, and a model that is taught to leave it leaves any.
        try_again: beside them, where another answer to the instruction made a wrong call, give the
            right one after a search's prompt for another.
    """
    opened = [Cases(run) for run in runs]
    right: dict[str, Cases] = {}
    for cases in opened:
        for case in cases:
            name = case.instruction.id
            if name not in right and _is_grounded(case):
                right[name] = cases
                yield case.answer
    given_up: set[str] = set()
    for cases in opened if give_up or try_again else ():
        for case in cases:
            name = case.instruction.id
            if give_up and name not in given_up and _is_unbacked(case):
                given_up.add(name)
                yield giving_up(case.answer)
            if try_again and right.get(name, cases) is not cases:
                yield from _another_call(case, right[name])


def _is_grounded(case: Case) -> bool:
    return judge(case.instruction, case.answer).grounded


def _another_call(case: Case, right: Cases) -> Iterator[dict[str, Any]]:
    """Give the lesson of the wrong call of an answer, if it is wrong and made one."""
    if _is_grounded(case) or not case.answer["answer_generation"].get("train_messages"):
        return
    lesson = trying_again(case.answer, right.read(case.instruction.id).answer)
    if lesson is not None:
        yield lesson


def _is_unbacked(case: Case) -> bool:
    """Tell an answer of whose facts not one was returned on its path."""
    chains = case.answer["compare_candidates"]
    facts = case.instruction.facts
    return bool(chains and facts) and not any(is_returned(fact, chains[0]) for fact in facts)
