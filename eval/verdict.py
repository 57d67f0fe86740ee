"""Verdicts on single answers: a pass by the paper's rule, and whether it is grounded."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from sandbox.instruction import Fact, Instruction
from solver.environment import told_in

_APOLOGY = re.compile(
    r"\b(sorry|apologi[sz]e|apologies|unfortunately|unable to|give up|no answer"
    r"|(?:could ?n[o']t|cannot|can ?not|can't) (?:\w+ )?"
    r"(?:find|get|help|fetch|retrieve|answer|provide|access|complete|process))\b",
    re.IGNORECASE,
)
_LIST = re.compile(r"\[([^\[\]]*)\]")
_THOUSANDS = re.compile("(?<=\\d)[,\u00a0\u202f'](?=\\d{3}(?!\\d))")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of one answer.

    Attributes:
        instruction: the instruction's id.
        passed: the path ends in Finish with an answer that is no apology.
        grounded: every fact is in the answer and was returned on the path; where the instruction
            cannot be solved, the search gave up.
        checked: whether the instruction says what a grounded answer is.
        missing: facts that the answer lacks, or that no call on its path returned.
        untold: facts that the answer lacks.
    """

    instruction: str
    passed: bool
    grounded: bool
    checked: bool = True
    missing: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()


def judge(instruction: Instruction, answer: dict[str, Any]) -> Verdict:
    """Judge an answer by rule, without a model.

    The pass rule is the paper's (section 3.1, appendix A.5), as far as a rule can be: a path that
    ends in Finish with an answer passes unless the answer apologises. It says nothing of truth,
    which is what the grounded rule is for.

    Args:
        instruction: with its facts.
        answer: an answer file's content.
    """
    chains = answer["compare_candidates"]
    chain = chains[0] if chains else []
    told = final_answer(chain)
    missing = tuple(
        str(fact.value) for fact in instruction.facts if not is_grounded(fact, told, chain)
    )
    untold = tuple(str(fact.value) for fact in instruction.facts if not is_told(fact, told))
    if instruction.solvable:
        grounded = bool(instruction.facts) and not missing
    else:
        grounded = answer["answer_generation"]["finish_type"] == "give_up"
    checked = bool(instruction.facts) or not instruction.solvable
    return Verdict(instruction.id, is_answer(told), grounded, checked, missing, untold)


def final_answer(chain: list[dict[str, Any]]) -> str:
    """Read the final answer at the end of a path; empty where there is none."""
    if not chain:
        return ""
    return told_in(chain[-1]["description"])


def is_answer(told: str) -> bool:
    """Tell an answer from silence and from an apology."""
    return bool(told.strip()) and not _APOLOGY.search(told)


def is_grounded(fact: Fact, told: str, chain: list[dict[str, Any]]) -> bool:
    """Tell whether a fact is in the answer and was returned by an API call on its path."""
    return is_returned(fact, chain) and is_told(fact, told)


def is_returned(fact: Fact, chain: list[dict[str, Any]]) -> bool:
    """Tell whether an API call on a path returned a fact."""
    observations = [node["observation"] for node in chain if node.get("provenance")]
    return any(mentions(text, str(fact.value)) for text in observations)


def is_told(fact: Fact, told: str) -> bool:
    """Tell whether an answer has a fact, in one of the ways to write it."""
    return any(mentions(told, way) for way in (str(fact.value), *fact.also))


def mentions(text: str, value: str) -> bool:
    """Tell whether a text has a value as a whole word or number.

    Case, width, spacing and thousands separators do not matter; `3.5` is not in `13.5`, `3.55` or
    `-3.5`.
    """
    wanted = re.escape(_plain(_THOUSANDS.sub("", value)))
    whole = re.compile(rf"(?<!\w)(?<!\d[.,])(?<!\D-){wanted}(?!\w)(?![.,]\d)")
    if whole.search(f" {_plain(_THOUSANDS.sub('', text))}"):
        return True
    items = (item for listed in _LIST.findall(text) for item in listed.split(","))
    return any(_plain(item) == _plain(value) for item in items)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
