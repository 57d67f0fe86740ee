"""Evaluation of a run: verdicts, rates per setting, and where the answers came from."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, get_args

from eval.case import Case, Cases, sets_of
from eval.judge import Judge, Poll
from eval.labels import Labels, SolvableRate, solvable_rate
from eval.statistics import Agreement, Rate, agreement
from eval.verdict import Verdict, judge
from sandbox.disk import write_lines_whole
from sandbox.errors import BadInput
from sandbox.names import folder_name
from sandbox.response import Provenance, StatusCode
from solver.run import steps

OVERALL = "overall"
"""The name of the line over all settings."""

Aspect = Literal["solvable", "correct"]
"""What a judge may be asked beside the answer's status."""


@dataclass(frozen=True)
class Opinion:
    """What one judge says of one answer.

    Attributes:
        status: votes on solved, unsolved or unsure.
        solvable: votes on the task, where they were asked for and the answer does not solve it.
        correct: votes on the final answer alone, where they were asked for.
    """

    status: Poll
    solvable: Poll | None = None
    correct: Poll | None = None

    @property
    def passed(self) -> bool | None:
        """ToolEval's pass: solved, or not to be solved; None where that is unsure or not known."""
        if self.status.label is None:
            return None
        if self.status.label == "solved":
            return True
        task = self.solvable.label if self.solvable else "solvable"
        if task == "unsolvable":
            return True
        return False if (self.status.label, task) == ("unsolved", "solvable") else None

    def to_json(self) -> dict[str, Any]:
        """Give all votes."""
        named = {"status": self.status, "solvable": self.solvable, "correct": self.correct}
        return {name: poll.to_json() for name, poll in named.items() if poll is not None}


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


@dataclass(frozen=True)
class JudgedCase:
    """All that is said of one answer, and what it cost.

    Attributes:
        set_name: the instruction's set.
        verdict: by rule.
        opinions: by judge.
        provenance: API calls by where their answer came from; `unstated` where it is not said.
        model_calls: completions asked for.
        tokens: of all prompts and completions.
    """

    set_name: str
    verdict: Verdict
    opinions: dict[str, Opinion]
    provenance: Counter[str]
    model_calls: int
    tokens: int


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
        verdicts: one per instruction.
        judged: all that is said of each answer, by instruction id.
        agreements: how far two judges, or a judge and facts or labels, agree.
    """

    model: str
    method: str
    settings: list[Setting] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    judged: dict[str, JudgedCase] = field(default_factory=dict)
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

    Raises:
        BadInput: it is no finished run, or an answer cannot be judged; names what is wrong.
    """
    cases = source if isinstance(source, Cases) else Cases(source)
    evaluation = Evaluation(cases.model, cases.method)
    for case in cases:
        judged = _judge(case, judges, aspects, cases.is_run)
        evaluation.judged[case.instruction.id] = judged
        evaluation.verdicts.append(judged.verdict)
        advance()
    for name in sets_of(cases.instructions):
        members = [j for j in evaluation.judged.values() if j.set_name == name]
        evaluation.settings.append(_setting(name, members))
    evaluation.settings.append(_setting(OVERALL, list(evaluation.judged.values())))
    evaluation.agreements = dict(_agreements(cases, evaluation, [j.name for j in judges], labels))
    into = into or (cases.path if cases.is_run else None)
    if into is not None and keep:
        _write_verdicts(into, evaluation)
    return evaluation


def _judge(
    case: Case, judges: Sequence[Judge], aspects: Sequence[Aspect], stated: bool
) -> JudgedCase:
    try:
        generation = case.answer["answer_generation"]
        return JudgedCase(
            case.instruction.set_name,
            judge(case.instruction, case.answer),
            {who.name: _opinion(who, case, aspects) for who in judges},
            _provenance(case, stated),
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


def _setting(name: str, judged: list[JudgedCase]) -> Setting:
    verdicts = [j.verdict for j in judged]
    sources = sum((j.provenance for j in judged), Counter[str]())
    return Setting(
        name,
        Rate(sum(v.passed for v in verdicts), len(verdicts)),
        Rate(sum(v.grounded for v in verdicts if v.checked), sum(v.checked for v in verdicts)),
        {source: sources[source] for source in get_args(Provenance)},
        sum(j.model_calls for j in judged),
        sum(j.tokens for j in judged),
        sources["unstated"],
        [_figures(who, judged) for who in (judged[0].opinions if judged else ())],
    )


def _figures(who: str, judged: list[JudgedCase]) -> JudgeFigures:
    opinions = {j.verdict.instruction: j.opinions[who] for j in judged}
    decided = {name: o for name, o in opinions.items() if o.status.label is not None}
    passes = [o.passed for o in decided.values() if o.passed is not None]
    correct = [o.correct.label for o in opinions.values() if o.correct and o.correct.label]
    polls = [p for o in opinions.values() for p in (o.status, o.solvable, o.correct) if p]
    return JudgeFigures(
        who,
        solvable_rate(list(_rounds(list(decided.values())))),
        Rate(sum(passes), len(passes)),
        Rate(correct.count("correct"), len(correct)) if correct else None,
        dict(sorted(Counter(str(o.status.label) for o in decided.values()).items())),
        sum(len({v.label for v in o.status.votes if not v.fault}) > 1 for o in decided.values()),
        tuple(name for name in opinions if name not in decided),
        dict(sorted(sum((p.faults for p in polls), Counter[str]()).items())),
    )


def _rounds(opinions: list[Opinion]) -> Iterator[list[str]]:
    """Give the statuses of each round of voting, without the votes that do not count."""
    for number in range(max((len(o.status.votes) for o in opinions), default=0)):
        votes = [o.status.votes[number] for o in opinions if number < len(o.status.votes)]
        yield [vote.label for vote in votes if not vote.fault]


def _agreements(
    cases: Cases, evaluation: Evaluation, judges: list[str], labels: Labels | None
) -> Iterator[tuple[str, Agreement]]:
    """Compare judges with each other, with the grounded facts, and with labels."""
    judged = evaluation.judged
    said = {
        who: {name: j.opinions[who].status.label for name, j in judged.items()} for who in judges
    }
    for one, other in combinations(judges, 2):
        yield f"{one} and {other}", _agree(said[one], said[other])
    facts = {
        name: "solved" if j.verdict.grounded else "not solved"
        for name, j in judged.items()
        if j.verdict.checked
    }
    for who in judges if facts else []:
        yield f"{who} and grounded facts", _agree(_binary(said[who]), facts)
    if labels is None:
        return
    given = _labels_of(cases, labels)
    rule = {n: "solved" if j.verdict.passed else "unsolved" for n, j in judged.items()}
    for who, statuses in (said or {"rule": dict[str, str | None](rule)}).items():
        yield f"{who} and {labels.source.name}", _agree(statuses, given)


def _agree(first: dict[str, str | None], second: dict[str, Any]) -> Agreement:
    """Compare two judges on the answers that both labelled."""
    shared = [name for name in first if first[name] and second.get(name)]
    return agreement([str(first[name]) for name in shared], [second[name] for name in shared])


def _binary(statuses: dict[str, str | None]) -> dict[str, str | None]:
    return {
        name: status and ("solved" if status == "solved" else "not solved")
        for name, status in statuses.items()
    }


def _labels_of(cases: Cases, labels: Labels) -> dict[str, str | None]:
    """Find each instruction's label, by its id or its query id."""
    given = {
        i.id: labels.status(i.id) or labels.status(str(i.query_id)) for i in cases.instructions
    }
    if not any(given.values()):
        raise BadInput(f"{labels.source}: none of its labels is of an instruction in {cases.path}.")
    return given


def _write_verdicts(into: Path, evaluation: Evaluation) -> None:
    sets: dict[str, list[JudgedCase]] = {}
    for judged in evaluation.judged.values():
        sets.setdefault(judged.set_name, []).append(judged)
    for name, members in sets.items():
        file = into / "verdicts" / f"{folder_name(name)}.json"
        write_lines_whole(file, _listed(_row(judged) for judged in members))


def _listed(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """Write a JSON list piece by piece."""
    before = "[\n"
    for row in rows:
        text = json.dumps([row], ensure_ascii=False, indent=1)
        yield (before + text.removeprefix("[\n").removesuffix("\n]")).encode(
            "utf-8", "surrogatepass"
        )
        before = ",\n"
    yield b"\n]\n"


def _row(judged: JudgedCase) -> dict[str, Any]:
    verdict = judged.verdict
    row: dict[str, Any] = {
        "instruction": verdict.instruction,
        "passed": verdict.passed,
        "grounded": verdict.grounded if verdict.checked else None,
        "missing": list(verdict.missing),
    }
    if judged.opinions:
        row["judges"] = {who: opinion.to_json() for who, opinion in judged.opinions.items()}
    return row
