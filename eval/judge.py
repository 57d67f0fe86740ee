"""Judges: models behind the one door that vote on answers, and the rule that needs none.

A model's votes are completions like all others: each has its key, stands on a tape, and replays.
The first vote takes the likeliest tokens; each later one is drawn with a seed of its own.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

from eval.case import Case
from eval.conversion import answer_text
from eval.questions import (
    ANSWER_STATUS,
    BETTER_ANSWER,
    BETTER_PATH,
    FINAL_ANSWER,
    PATH_STATUS,
    SOLVABLE,
    Question,
    answer_evidence,
    pair_evidence,
    path_evidence,
    task_evidence,
)
from eval.verdict import is_answer, judge
from sandbox.chat import CONTEXT_FULL, ChatModel, Completion, CompletionRequest, Sampling
from sandbox.errors import UnrecordedCompletion

Fault = Literal["nonsense", "refused", "silent", "too long"]
"""Why a vote does not count: no verdict in it, a refusal, nothing said, no room to ask."""

VOTE_TEMPERATURE = 0.7
"""Of second and later votes; the first takes the likeliest tokens."""

_OBJECT = re.compile(r"\{.*\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Vote:
    """One answer of a judge.

    Attributes:
        label: the verdict; empty where there is none.
        reason: what the judge gave as its reason, or what it said instead of a verdict.
        fault: why the vote does not count.
    """

    label: str
    reason: str = ""
    fault: Fault | None = None

    def to_json(self) -> dict[str, Any]:
        """Give the vote; a fault only where there is one."""
        shown = {"label": self.label, "reason": self.reason}
        return {**shown, "fault": self.fault} if self.fault else shown


@dataclass(frozen=True)
class Poll:
    """The votes on one question.

    Attributes:
        votes: in the order in which they were cast.
    """

    votes: tuple[Vote, ...]

    @cached_property
    def label(self) -> str | None:
        """The label with the most votes; `unsure` on a tie; None where no vote counts."""
        ranked = Counter(vote.label for vote in self.votes if not vote.fault).most_common(2)
        if not ranked:
            return None
        if len(ranked) == 2 and ranked[0][1] == ranked[1][1]:
            return "unsure"
        return ranked[0][0]

    @property
    def faults(self) -> Counter[str]:
        """How many votes do not count, by why."""
        return Counter(vote.fault for vote in self.votes if vote.fault)

    def to_json(self) -> dict[str, Any]:
        """Give the label and the votes."""
        return {"label": self.label, "votes": [vote.to_json() for vote in self.votes]}


class Judge(Protocol):
    """Whoever says what an answer is worth."""

    name: str

    def status(self, case: Case) -> Poll:
        """Say whether an answer is solved, unsolved or unsure."""
        ...

    def solvable(self, case: Case) -> Poll:
        """Say whether a task is solvable, unsolvable or unsure."""
        ...

    def correct(self, case: Case) -> Poll:
        """Say whether a final answer is correct or incorrect, whatever led to it."""
        ...

    def better(self, first: Case, second: Case, whole: bool) -> Poll:
        """Say which answer is better: first, second or tie.

        Args:
            first: the answer that stands first.
            second: the answer that stands second.
            whole: judge the paths, not the final answers alone.
        """
        ...


class RuleJudge:
    """Judges by rule, without a model: one vote each, the same always."""

    name = "rule"

    def status(self, case: Case) -> Poll:
        """Call an answer solved unless it is silence, an apology or a give-up."""
        passed = judge(case.instruction, case.answer).passed
        return _certain("solved" if passed else "unsolved")

    def solvable(self, case: Case) -> Poll:
        """Take the instruction's word for it."""
        return _certain("solvable" if case.instruction.solvable else "unsolvable")

    def correct(self, case: Case) -> Poll:
        """Call a final answer correct when all facts of the instruction are told."""
        verdict = judge(case.instruction, case.answer)
        if case.instruction.facts:
            return _certain("incorrect" if verdict.untold else "correct")
        return _certain("correct" if verdict.passed else "incorrect")

    def better(self, first: Case, second: Case, whole: bool) -> Poll:
        """Call it a tie: no rule weighs words."""
        return _certain("tie")


class ModelJudge:
    """Asks a model, several times.

    Args:
        model: who is asked; its answers come from a tape or go there.
        votes: how often each question is asked.
        max_tokens: the longest answer.
    """

    def __init__(self, model: ChatModel, votes: int = 1, max_tokens: int = 300) -> None:
        self.name = model.name
        self._model = model
        self._votes = votes
        self._max_tokens = max_tokens

    def status(self, case: Case) -> Poll:
        """Judge the final answer; where that leaves it unsure, the whole path.

        As in StableToolBench, a path that does not end in an answer is unsolved without asking.
        """
        converted = case.converted
        if not answer_text(converted).strip():
            return Poll((Vote("unsolved", "The path does not end in an answer."),) * self._votes)

        def cast(number: int) -> Vote:
            vote = self._ask(ANSWER_STATUS, answer_evidence(converted), case, number)
            if vote.label != "unsure":
                return vote
            return self._ask(PATH_STATUS, path_evidence(converted), case, number)

        return self._poll(cast)

    def solvable(self, case: Case) -> Poll:
        """Judge the task by the tools on offer."""
        evidence = task_evidence(case.converted)
        return self._poll(lambda number: self._ask(SOLVABLE, evidence, case, number))

    def correct(self, case: Case) -> Poll:
        """Judge the final answer alone."""
        if not answer_text(case.converted).strip():
            return Poll((Vote("incorrect", "There is no answer."),) * self._votes)
        evidence = answer_evidence(case.converted)
        return self._poll(lambda number: self._ask(FINAL_ANSWER, evidence, case, number))

    def better(self, first: Case, second: Case, whole: bool) -> Poll:
        """Compare two answers in the order in which they are given."""
        question = BETTER_PATH if whole else BETTER_ANSWER
        evidence = pair_evidence(first.converted, second.converted, whole)
        return self._poll(lambda number: self._ask(question, evidence, first, number))

    def _poll(self, cast: Callable[[int], Vote]) -> Poll:
        return Poll(tuple(cast(number) for number in range(self._votes)))

    def _ask(self, question: Question, evidence: str, case: Case, number: int) -> Vote:
        temperature = 0.0 if number == 0 else VOTE_TEMPERATURE
        request = CompletionRequest(
            question.messages(evidence),
            [],
            Sampling(temperature, number, self._max_tokens),
            f"judge/{case.instruction.id}",
            number,
            question.schema,
        )
        try:
            return read_vote(self._model.complete(request), question)
        except UnrecordedCompletion as error:
            raise UnrecordedCompletion(
                f"{self.name} was not asked for vote {number + 1} on the {question.name} of "
                f"{case.instruction.id}, or about another answer. Ask what is not on the tape: "
                f"toolreplay eval ... --mode live --judge openai:{self.name}, or llama:FILE where "
                f"it is a file."
            ) from error


def read_vote(completion: Completion, question: Question) -> Vote:
    """Read a vote from what a judge said; what is no verdict is named, never guessed at.

    Args:
        completion: the model's answer.
        question: what was asked.
    """
    said = completion.content or ""
    if completion.error_code == CONTEXT_FULL:
        return Vote("", said, "too long")
    if not said.strip():
        return Vote("", "", "silent")
    found = _OBJECT.search(said)
    try:
        given = json.loads(found[0]) if found else None
    except ValueError:
        given = None
    label = given.get("verdict") if isinstance(given, dict) else None
    if isinstance(given, dict) and label in question.labels:
        return Vote(str(label), str(given.get("reason", "")))
    refusal = given is None and not is_answer(said)
    return Vote("", said[:SHOWN_FAULT], "refused" if refusal else "nonsense")


SHOWN_FAULT = 300
"""Characters that are kept of an answer that is no verdict."""


def _certain(label: str) -> Poll:
    return Poll((Vote(label, "by rule"),))
