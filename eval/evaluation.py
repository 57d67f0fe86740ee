"""Evaluation of a run: verdicts, rates per setting, and where the answers came from."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, get_args

from eval.case import Case, Cases
from eval.judge import Judge
from eval.judged import JudgedCase, JudgedCases, Opinion
from eval.labels import Labels, SolvableRate, solvable_rate
from eval.statistics import Agreement, Rate, agreement_of
from eval.verdict import judge
from sandbox.disk import write_lines_whole
from sandbox.errors import BadInput
from sandbox.executor import Executor, Opened, Threads, in_order
from sandbox.names import folder_name
from sandbox.response import Provenance, StatusCode
from solver.run import steps

OVERALL = "overall"
"""The name of the line over all settings."""

Aspect = Literal["solvable", "correct"]
"""What a judge may be asked beside the answer's status."""


@dataclass(frozen=True)
class JudgeFigures:
    """The figures of one judge over some answers.

    Attributes:
        judge: its name.
        solvable: StableToolBench's solvable pass rate, over the answers with a verdict.
        passed: ToolEval's pass rate, over the answers where it is known.
        correct: final-answer correctness, where it was asked for.
        statuses: answers by status.
        split: answers on which the votes differ.
        undecided: instructions without a verdict; they count in no rate.
        faults: votes that do not count, by why.
    """

    judge: str
    solvable: SolvableRate
    passed: Rate
    correct: Rate | None
    statuses: dict[str, int]
    split: int
    undecided: tuple[str, ...]
    faults: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Give the figures for `--json`."""
        return {
            "judge": self.judge,
            "solvable_pass_rate": self.solvable.to_json(),
            "pass_rate": self.passed.to_json(),
            "final_answer_correctness": self.correct.to_json() if self.correct else None,
            "statuses": self.statuses,
            "split_votes": self.split,
            "undecided": list(self.undecided),
            "faults": self.faults,
        }


@dataclass
class Setting:
    """The figures of one set of instructions (`I1-Inst`, ...), or of all.

    Attributes:
        name: the set's name.
        passed: pass rate.
        grounded: grounded rate, over the instructions that name facts or cannot be solved.
        provenance: API calls by where their answer came from.
        model_calls: completions asked for.
        tokens: tokens of all prompts and completions.
        unstated: API calls whose answer file does not say where they were answered.
        judged: figures of each judge.
    """

    name: str
    passed: Rate
    grounded: Rate
    provenance: dict[str, int]
    model_calls: int
    tokens: int
    unstated: int = 0
    judged: list[JudgeFigures] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Give the figures for `--json`."""
        shown = {
            "setting": self.name,
            "pass_rate": self.passed.to_json(),
            "grounded_rate": self.grounded.to_json(),
            "api_calls": dict(self.provenance),
            "model_calls": self.model_calls,
            "tokens": self.tokens,
        }
        if self.unstated:
            shown["api_calls"] = {**self.provenance, "unstated": self.unstated}
        if self.judged:
            shown["judges"] = [figures.to_json() for figures in self.judged]
        return shown


@dataclass
class Evaluation:
    """The judged run.

    Attributes:
        model: who decided.
        method: how it was searched, in ToolBench's name.
        settings: figures per setting, in the order of the run's instructions, overall last.
        judged: all that is said of each answer, by instruction id; on disk, not in memory.
        agreements: how far two judges, or a judge and facts or labels, agree.
    """

    model: str
    method: str
    settings: list[Setting] = field(default_factory=list)
    judged: JudgedCases = field(default_factory=JudgedCases)
    agreements: dict[str, Agreement] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Give all figures for `--json`."""
        shown: dict[str, Any] = {
            "model": self.model,
            "method": self.method,
            "settings": [setting.to_json() for setting in self.settings],
        }
        if self.agreements:
            shown["agreement"] = {name: a.to_json() for name, a in self.agreements.items()}
        return shown

    def status(self, instruction: str) -> str | None:
        """Give the first judge's status of an answer; by rule where there is no judge."""
        judged = self.judged[instruction]
        for opinion in judged.opinions.values():
            return opinion.status.label
        return "solved" if judged.verdict.passed else "unsolved"


def evaluate(
    source: str | Path | Cases,
    judges: Sequence[Judge] = (),
    aspects: Sequence[Aspect] = (),
    labels: Labels | None = None,
    into: Path | None = None,
    advance: Callable[[], object] = lambda: None,
    keep: bool = True,
    executor: Executor | None = None,
    opened: Opened[str, JudgedCase] | None = None,
) -> Evaluation:
    """Judge all answers of a run, by rule and by judges, and write `verdicts/<set>.json`.

    Args:
        source: a run's directory, a folder of answers or converted answers, or opened cases.
        judges: who judges beside the rule; the first one's word counts.
        aspects: what judges are asked beside the answer's status.
        labels: others' labels, to compare the judges with.
        into: the directory that gets `verdicts/`; by default the run itself, and for answers
            that are no run none.
        advance: told of each judged answer.
        keep: write the verdicts.
        executor: who has answers judged; by default this thread, one after another.
        opened: opens a `CaseJudge` in another process, for an executor that needs that.

    Raises:
        BadInput: it is no finished run, an answer cannot be judged, or a label fits several; names
            what is wrong.
    """
    cases = source if isinstance(source, Cases) else Cases(source)
    if labels is not None:
        labels.check(cases.names)
    evaluation = Evaluation(cases.model, cases.method)
    names = list(dict.fromkeys(who.name for who in judges))
    sets: dict[str, _Tally] = {}
    overall, labelled = _Tally(OVERALL, names), Counter[_Labelled]()
    own = CaseJudge(cases, judges, aspects)
    judging = (executor or Threads()).run([*cases.names], own, opened)
    for judged in in_order(judging):
        evaluation.judged.add(judged)
        tally = sets.setdefault(judged.set_name, _Tally(judged.set_name, names))
        for counted in (tally, overall):
            counted.add(judged)
        labelled[_labelled(judged, labels)] += 1
        advance()
    evaluation.settings = [tally.setting() for tally in (*sets.values(), overall)]
    evaluation.agreements = dict(_agreements(names, labelled, labels, cases.path))
    into = into or (cases.path if cases.is_run else None)
    if into is not None and keep:
        for name in evaluation.judged.sets:
            file = into / "verdicts" / f"{folder_name(name)}.json"
            write_lines_whole(file, evaluation.judged.file(name))
    return evaluation


@dataclass(frozen=True)
class CaseJudge:
    """Judges one answer at a time: by rule, and by judges.

    Attributes:
        cases: the answers.
        judges: who judges beside the rule.
        aspects: what they are asked beside the answer's status.
    """

    cases: Cases
    judges: Sequence[Judge]
    aspects: Sequence[Aspect]

    def __call__(self, instruction: str) -> JudgedCase:
        """Judge the answer to the instruction of that id.

        Raises:
            BadInput: it is in no format that is known; names its file.
        """
        case = self.cases.read(instruction)
        try:
            generation = case.answer["answer_generation"]
            return JudgedCase(
                case.instruction.set_name,
                judge(case.instruction, case.answer),
                {who.name: _opinion(who, case, self.aspects) for who in self.judges},
                _provenance(case, self.cases.is_run),
                generation["query_count"],
                generation["total_tokens"],
            )
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise BadInput(
                f"{case.source}: the answer to {case.instruction.id} is in no format that is known "
                f"here ({error!r})."
            ) from error


def _opinion(who: Judge, case: Case, aspects: Sequence[Aspect]) -> Opinion:
    status = who.status(case)
    ask_task = "solvable" in aspects and status.label != "solved"
    return Opinion(
        status,
        who.solvable(case) if ask_task else None,
        who.correct(case) if "correct" in aspects else None,
    )


def _provenance(case: Case, stated: bool) -> Counter[str]:
    """Count API calls by source; answers that are no run's own do not state it."""
    counted: Counter[str] = Counter()
    for above, node in steps(case.answer):
        if node.get("provenance"):
            counted[node["provenance"]] += 1
        elif not stated and above["description"] != "Finish":
            counted["unstated"] += node.get("observation_code") != StatusCode.NO_SUCH_FUNCTION
    return counted


class _Tally:
    """The counts that the figures of a set are made of."""

    def __init__(self, name: str, judges: Sequence[str]) -> None:
        self._name = name
        self._counts: Counter[str] = Counter()
        self._provenance: Counter[str] = Counter()
        self._judges = {who: _JudgeTally(who) for who in judges}

    def add(self, judged: JudgedCase) -> None:
        verdict, counts = judged.verdict, self._counts
        counts["answers"] += 1
        counts["passed"] += verdict.passed
        counts["checked"] += verdict.checked
        counts["grounded"] += verdict.checked and verdict.grounded
        counts["model calls"] += judged.model_calls
        counts["tokens"] += judged.tokens
        self._provenance.update(judged.provenance)
        for who, opinion in judged.opinions.items():
            self._judges[who].add(verdict.instruction, opinion)

    def setting(self) -> Setting:
        counts = self._counts
        return Setting(
            self._name,
            Rate(counts["passed"], counts["answers"]),
            Rate(counts["grounded"], counts["checked"]),
            {source: self._provenance[source] for source in get_args(Provenance)},
            counts["model calls"],
            counts["tokens"],
            self._provenance["unstated"],
            [tally.figures() for tally in self._judges.values()] if counts["answers"] else [],
        )


class _JudgeTally:
    """The counts that one judge's figures are made of."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rounds: list[Counter[str]] = []
        self._passes: Counter[bool] = Counter()
        self._correct: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._split = 0
        self._undecided: list[str] = []

    def add(self, instruction: str, opinion: Opinion) -> None:
        for poll in (opinion.status, opinion.solvable, opinion.correct):
            self._faults.update(poll.faults if poll else ())
        if opinion.correct and opinion.correct.label:
            self._correct[opinion.correct.label] += 1
        status = opinion.status
        if status.label is None:
            self._undecided.append(instruction)
            return
        self._statuses[status.label] += 1
        self._split += len({vote.label for vote in status.votes if not vote.fault}) > 1
        if opinion.passed is not None:
            self._passes[opinion.passed] += 1
        self._rounds += [Counter() for _ in status.votes[len(self._rounds) :]]
        for votes, vote in zip(self._rounds, status.votes, strict=False):
            if not vote.fault:
                votes[vote.label] += 1

    def figures(self) -> JudgeFigures:
        correct = Rate(self._correct["correct"], self._correct.total())
        return JudgeFigures(
            self._name,
            solvable_rate(self._rounds),
            Rate(self._passes[True], self._passes.total()),
            correct if self._correct else None,
            dict(sorted(self._statuses.items())),
            self._split,
            tuple(self._undecided),
            dict(sorted(self._faults.items())),
        )


_Labelled = tuple[str | None, ...]
"""One answer's statuses: by each judge (the rule, where there is none), by its facts, by label."""


def _labelled(judged: JudgedCase, labels: Labels | None) -> _Labelled:
    verdict, name = judged.verdict, judged.verdict.instruction
    query_id = name.removeprefix(f"{judged.set_name}/")
    said = [opinion.status.label for opinion in judged.opinions.values()]
    facts = ("solved" if verdict.grounded else "not solved") if verdict.checked else None
    given = labels.status(name) or labels.status(query_id) if labels else None
    return (*(said or ["solved" if verdict.passed else "unsolved"]), facts, given)


def _agreements(
    judges: list[str], answers: Counter[_Labelled], labels: Labels | None, path: Path
) -> Iterator[tuple[str, Agreement]]:
    """Compare judges with each other, with the grounded facts, and with labels."""
    for (first, one), (second, other) in combinations(enumerate(judges), 2):
        yield f"{one} and {other}", _agree(answers, first, second)
    if any(answer[-2] for answer in answers):
        binary: Counter[_Labelled] = Counter()
        for answer, count in answers.items():
            binary[tuple(s and (s if s == "solved" else "not solved") for s in answer)] += count
        for place, who in enumerate(judges):
            yield f"{who} and grounded facts", _agree(binary, place, -2)
    if labels is None:
        return
    if not any(answer[-1] for answer in answers):
        raise BadInput(f"{labels.source}: none of its labels is of an instruction in {path}.")
    for place, who in enumerate(judges or ["rule"]):
        yield f"{who} and {labels.source.name}", _agree(answers, place, -1)


def _agree(answers: Counter[_Labelled], first: int, second: int) -> Agreement:
    """Compare two of the statuses on the answers that have both."""
    table: Counter[tuple[str, str]] = Counter()
    for answer, count in answers.items():
        one, other = answer[first], answer[second]
        if one and other:
            table[one, other] += count
    return agreement_of(table)
