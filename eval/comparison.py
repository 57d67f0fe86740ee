"""The gate: what flipped between a baseline and a run, and whether that is a regression."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from xml.etree import ElementTree  # nosec B405 # writes XML, reads none

from eval.case import Cases
from eval.evaluation import Evaluation
from eval.judged import JudgedCase
from eval.parting import Parting, parting
from eval.statistics import Difference, mcnemar, paired_bootstrap
from sandbox.errors import BadInput

Measure = Literal["rule", "passed", "grounded", "solved"]
"""What makes an answer good: the grounded rule where the instruction has facts and the pass rule
elsewhere; one of these two; or the judge's `solved`."""

FailOn = Literal["flips", "significant"]
"""What is a regression: more lost answers than are allowed, or a significant drop."""

SIGNIFICANT = 0.05
"""McNemar's p-value below which a drop is significant."""

_NOT_XML = {code: "\ufffd" for code in [*range(32), 0xFFFE, 0xFFFF] if code not in (9, 10, 13)}


@dataclass(frozen=True)
class Change:
    """One instruction in both runs.

    Attributes:
        instruction: its id.
        query: its text.
        before: whether the baseline's answer is good; None where the judge gave no verdict.
        after: whether the run's answer is.
        parting: where the two searches part; None where they are the same.
    """

    instruction: str
    query: str
    before: bool | None
    after: bool | None
    parting: Parting | None

    @property
    def kind(self) -> str:
        """`lost`, `won`, `same` or `undecided`."""
        if self.before is None or self.after is None:
            return "undecided"
        if self.before == self.after:
            return "same"
        return "won" if self.after else "lost"

    def to_json(self) -> dict[str, Any]:
        """Give the change for `--json`."""
        return {
            "instruction": self.instruction,
            "kind": self.kind,
            "before": self.before,
            "after": self.after,
            "parting": self.parting.to_json() if self.parting else None,
        }


@dataclass(frozen=True)
class Comparison:
    """A run against its baseline.

    Attributes:
        baseline: what the baseline is called.
        run: what the run is called.
        measure: what makes an answer good.
        fail_on: the rule of regression.
        allow: lost answers that the rule lets pass.
        changes: one per instruction.
        unshared: instructions that one of the two lacks.
    """

    baseline: str
    run: str
    measure: Measure
    fail_on: FailOn
    allow: int
    changes: list[Change]
    unshared: list[str]

    def of_kind(self, kind: str) -> list[Change]:
        """Give the changes of a kind."""
        return [change for change in self.changes if change.kind == kind]

    @property
    def p_value(self) -> float:
        """McNemar's exact p-value of the flips."""
        return mcnemar(len(self.of_kind("lost")), len(self.of_kind("won")))

    @property
    def difference(self) -> Difference:
        """The difference of the rates, the run's less the baseline's."""
        decided = [c for c in self.changes if c.kind != "undecided"]
        return paired_bootstrap(
            [float(bool(c.before)) for c in decided], [float(bool(c.after)) for c in decided]
        )

    @property
    def regressed(self) -> bool:
        """Whether the rule says that the build is to fail."""
        lost, won = len(self.of_kind("lost")), len(self.of_kind("won"))
        if self.fail_on == "significant":
            return lost > won and self.p_value < SIGNIFICANT
        return lost > self.allow

    @property
    def ruling(self) -> str:
        """The rule, and what it says here, in one sentence."""
        lost, won = len(self.of_kind("lost")), len(self.of_kind("won"))
        outcome = "Regression" if self.regressed else "No regression"
        if self.fail_on == "significant":
            return (
                f"{outcome}: {lost} lost, {won} won, McNemar's p = {self.p_value:.3g}; a drop "
                f"fails below {SIGNIFICANT}."
            )
        return f"{outcome}: {lost} lost, {won} won; more than {self.allow} lost fails."

    def to_json(self) -> dict[str, Any]:
        """Give all of it for `--json`."""
        return {
            "baseline": self.baseline,
            "run": self.run,
            "measure": self.measure,
            "regressed": self.regressed,
            "ruling": self.ruling,
            "mcnemar_p": round(self.p_value, 6),
            "difference": self.difference.to_json(),
            "unshared": self.unshared,
            "changes": [c.to_json() for c in self.changes if c.kind != "same" or c.parting],
        }


def compare(
    baseline: Cases,
    run: Cases,
    judged: tuple[Evaluation, Evaluation],
    measure: Measure = "rule",
    fail_on: FailOn = "flips",
    allow: int = 0,
    shared_only: bool = False,
) -> Comparison:
    """Compare a run with its baseline.

    Args:
        baseline: what was good enough.
        run: what is to be.
        judged: the verdicts on both.
        measure: what makes an answer good.
        fail_on: the rule of regression.
        allow: lost answers that `flips` lets pass.
        shared_only: compare only the instructions that both have.

    Raises:
        BadInput: the run lacks instructions of the baseline, or none is shared.
    """
    lacking = [name for name in baseline.names if name not in run]
    if lacking and not shared_only:
        raise BadInput(
            f"{run.path} lacks {len(lacking)} of the baseline's instructions: "
            f"{', '.join(lacking[:5])}{' ...' if len(lacking) > 5 else ''}. Solve them too, or "
            f"compare what both have: --shared-only."
        )
    shared = [name for name in baseline.names if name in run]
    if not shared:
        raise BadInput(f"{baseline.path} and {run.path} share no instruction.")
    changes = []
    for name in shared:
        before, after = (_good(e.judged[name], measure) for e in judged)
        case = run.read(name)
        parted = parting(baseline.read(name).answer, case.answer)
        changes.append(Change(name, case.instruction.query, before, after, parted))
    unshared = [*lacking, *(name for name in run.names if name not in baseline)]
    return Comparison(_title(baseline), _title(run), measure, fail_on, allow, changes, unshared)


def _title(cases: Cases) -> str:
    return f"{cases.path} ({cases.model}, {cases.method})"


def _good(judged: JudgedCase, measure: Measure) -> bool | None:
    verdict = judged.verdict
    if measure == "solved":
        status = next(iter(judged.opinions.values())).status.label
        return None if status is None else status == "solved"
    if measure == "passed" or (measure == "rule" and not verdict.checked):
        return verdict.passed
    return verdict.grounded if verdict.checked else None


def junit(comparison: Comparison) -> str:
    """Write a comparison as JUnit XML: a test case per instruction, a failure per lost answer."""
    lost, undecided = comparison.of_kind("lost"), comparison.of_kind("undecided")
    suite = ElementTree.Element(
        "testsuite",
        name="toolreplay compare",
        tests=str(len(comparison.changes)),
        failures=str(len(lost)),
        errors="0",
        skipped=str(len(undecided)),
    )
    for change in comparison.changes:
        group, _, name = change.instruction.rpartition("/")
        case = ElementTree.SubElement(suite, "testcase", classname=_xml(group), name=_xml(name))
        parted = str(change.parting) if change.parting else "The searches are the same."
        if change.kind == "lost":
            failure = ElementTree.SubElement(
                case, "failure", message=f"no longer {_good_word(comparison.measure)}"
            )
            failure.text = _xml(f"{change.query}\nThe searches part at {parted}")
        elif change.kind == "undecided":
            ElementTree.SubElement(case, "skipped", message="not decided")
        elif change.kind == "won":
            ElementTree.SubElement(case, "system-out").text = _xml(f"Won. Parted at {parted}")
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def markdown(comparison: Comparison) -> str:
    """Write a comparison as a summary for a pull request."""
    return "\n".join(_markdown(comparison)) + "\n"


def _markdown(comparison: Comparison) -> Iterator[str]:
    yield f"### {'❌' if comparison.regressed else '✅'} toolreplay compare"
    yield ""
    yield f"{_cell(comparison.ruling)} An answer is good when it is "
    yield f"{_good_word(comparison.measure)}."
    yield ""
    yield "| | |"
    yield "|---|---|"
    yield f"| baseline | {_cell(comparison.baseline)} |"
    yield f"| run | {_cell(comparison.run)} |"
    yield f"| instructions | {len(comparison.changes)} |"
    yield f"| difference | {comparison.difference} |"
    yield f"| McNemar's exact p | {comparison.p_value:.3g} |"
    if comparison.unshared:
        yield f"| in one run alone | {len(comparison.unshared)} |"
    undecided = comparison.of_kind("undecided")
    if undecided:
        yield f"| not decided | {_cell(', '.join(c.instruction for c in undecided))} |"
    for kind in ("lost", "won"):
        changes = comparison.of_kind(kind)
        if changes:
            yield from _flips(kind, changes)


def _flips(kind: str, changes: list[Change]) -> Iterator[str]:
    yield ""
    yield f"**{kind.capitalize()} ({len(changes)})**"
    yield ""
    yield "| instruction | parts at step | why | before | after |"
    yield "|---|---|---|---|---|"
    for change in changes:
        parted = change.parting
        cells = (
            [str(parted.step), parted.why, parted.before, parted.after]
            if parted
            else ["", "the same search", "", ""]
        )
        yield f"| {' | '.join(_cell(text) for text in [change.instruction, *cells])} |"


def _good_word(measure: Measure) -> str:
    return "grounded, or passed where there are no facts" if measure == "rule" else measure


def _cell(text: str, limit: int = 160) -> str:
    """Write text from an answer so that Markdown shows it as it is, on one line."""
    line = " ".join(text.split())
    line = line if len(line) <= limit else f"{line[:limit]}..."
    for mark in "\\`*_[]<>|#~@":
        line = line.replace(mark, f"&#{ord(mark)};" if mark in "<>|@" else f"\\{mark}")
    return line


def _xml(text: str) -> str:
    """Replace the characters that XML cannot hold."""
    return text.translate(_NOT_XML).encode("utf-8", "replace").decode("utf-8")
