"""Tables for the terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from eval.evaluation import OVERALL, Evaluation, Setting
from eval.fidelity import WITH_NEIGHBOURS

if TYPE_CHECKING:
    from eval.comparison import Comparison
    from eval.contest import Contest
    from eval.fidelity import Fidelity
    from eval.statistics import Agreement
    from sandbox.drift import Drift
    from sandbox.probe import Probed

METHOD_TITLES = {"CoT@1": "ReACT", "DFS_woFilter_w2": "DFSDT"}
"""The paper's names for ToolBench's."""


def method_title(method: str) -> str:
    """Name a method as the paper does, where it has a name for it."""
    searched, plus, doubt = method.partition("+")
    title = METHOD_TITLES.get(searched, searched.replace("CoT@", "ReACT@"))
    return f"{title}{plus}{doubt}"


def _table(title: str, words: Iterable[str], figures: Iterable[str] = ()) -> Table:
    """Begin a table: columns of words, which fold, then columns of figures."""
    table = Table(title=title)
    for heading in words:
        table.add_column(heading, overflow="fold")
    for heading in figures:
        table.add_column(heading, justify="right")
    return table


def setting_table(evaluation: Evaluation) -> Table:
    """Show one run: a line per setting."""
    headings = (
        "Instructions",
        "Pass rate [95%]",
        "Grounded rate [95%]",
        "API calls",
        "Model calls",
    )
    title = f"{evaluation.model}, {method_title(evaluation.method)}"
    table = _table(title, ["Setting"], headings)
    for setting in evaluation.settings:
        if setting.name == OVERALL:
            table.add_section()
        table.add_row(
            setting.name,
            str(setting.passed.total),
            str(setting.passed),
            str(setting.grounded) if setting.grounded.total else "no facts given",
            provenance_line(setting),
            str(setting.model_calls),
        )
    return table


def judge_table(evaluation: Evaluation) -> Table:
    """Show what judges say of one run: a line per setting and judge."""
    figures_of = ("Solvable pass rate ± votes", "Pass rate [95%]", "Answer correct [95%]")
    counts_of = ("Statuses", "Split", "No verdict", "Faulty votes")
    table = _table("Judges", ["Setting", "Judge"], [*figures_of, *counts_of])
    for setting in evaluation.settings:
        if setting.name == OVERALL:
            table.add_section()
        for figures in setting.judged:
            table.add_row(
                setting.name,
                figures.judge,
                str(figures.solvable),
                str(figures.passed),
                str(figures.correct) if figures.correct else "not asked",
                counted(figures.statuses),
                str(figures.split),
                str(len(figures.undecided)),
                counted(figures.faults),
            )
    return table


def agreement_table(agreements: "Mapping[str, Agreement]") -> Table:
    """Show how far judges, facts and labels agree, a line per pair."""
    headings = ("Answers", "Cohen's kappa", "Agreement [95%]")
    table = _table("Agreement on the same answers", ["Between"], headings)
    for name, found in agreements.items():
        kappa = "undefined" if found.kappa is None else f"{found.kappa:.3f}"
        table.add_row(name, str(found.agreed.total), kappa, str(found.agreed))
    return table


def contest_table(contest: "Contest") -> Table:
    """Show one run against another."""
    table = _table(f"Against {contest.against}", ["What"], ["Value"])
    table.add_row("Win rate by the ordered rules [95%]", str(contest.wins))
    table.add_row("Solvable win rate [95%]", str(contest.solvable_wins))
    table.add_row("Wins for a place (counted as ties)", str(contest.wins.swayed))
    table.add_row("Difference in solved [95%, paired bootstrap]", str(contest.difference))
    table.add_row("Solved by this run alone", str(len(contest.won)))
    table.add_row("Solved by the other alone", str(len(contest.lost)))
    table.add_row("McNemar's exact p", f"{contest.p_value:.3g}")
    undecided = contest.wins.undecided
    table.add_row("Not decided by the judge", ", ".join(undecided) or "none")
    table.add_row("In one run alone", str(len(contest.unshared)))
    return table


def flip_table(comparison: "Comparison") -> Table:
    """Show what flipped, and where the searches part, a line per instruction."""
    table = _table("Flips", ["Instruction", "Flip", "Parts at", "Why", "Before", "After"])
    for kind in ("lost", "won"):
        for change in comparison.of_kind(kind):
            parted = change.parting
            cells = (
                [f"{parted.step} ({parted.where})", parted.why, parted.before, parted.after]
                if parted
                else ["", "the same search", "", ""]
            )
            table.add_row(*map(_plain, [change.instruction, kind, *cells]))
    return table


def _plain(text: str, limit: int = 200) -> Text:
    """Show text from an answer as it is, without markup, cut."""
    return Text(text if len(text) <= limit else f"{text[:limit]}...")


def counted(counts: "Mapping[str, int]") -> str:
    """Show counts by name on one line."""
    return ", ".join(f"{n} {name}" for name, n in counts.items()) or "none"


def comparison_table(evaluations: Sequence[Evaluation]) -> Table:
    """Show several runs like table 4 of the paper: methods down, settings across."""
    settings = [f"{s.name}\n({s.passed.total})" for s in evaluations[0].settings]
    title = "Pass rate / grounded rate, in percent, with 95% intervals"
    table = _table(title, ["Model", "Method"], settings)
    for evaluation in evaluations:
        cells = [
            f"{_percent(setting.passed.value)} {_span(setting.passed.interval())}\n"
            f"{_percent(setting.grounded.value)} {_span(setting.grounded.interval())}"
            for setting in evaluation.settings
        ]
        table.add_row(evaluation.model, method_title(evaluation.method), *cells, end_section=True)
    return table


def drift_table(drifts: Iterable["Drift"]) -> Table:
    """Show what changed, a line per API."""
    from sandbox.drift import by_api

    headings = ("API", "Calls", "Breaking", "Status", "Gone", "Added", "Retyped", "Values")
    table = _table("Drift", headings)
    for drift in by_api(drifts):
        status = "\n".join(f"{was} -> {now}" for was, now in sorted(drift.status))
        fields = (drift.gone, drift.added, drift.retyped, drift.values)
        cells = ["\n".join(sorted(paths)) for paths in fields]
        table.add_row(drift.api, str(drift.calls), str(drift.breaking), status, *cells)
    return table


def probe_table(findings: Sequence["Probed"]) -> Table:
    """Show why APIs should go, a line each."""
    table = _table("APIs to drop", ["Category", "Tool", "API", "Reason"])
    for finding in findings:
        table.add_row(finding.tool.category, finding.tool.name, finding.api.name, finding.reason)
    return table


def fidelity_table(lines: Sequence["Fidelity"]) -> Table:
    """Show how true simulated answers are, a line per group and engine."""
    title = "Simulated and recorded answers; key F1 with 95% bootstrap intervals"
    headings = ("Calls", "JSON", "Schema", "Precision", "Recall", "Key F1", "Length", "Outcome")
    table = _table(title, ["Group", "Engine"], headings)
    for line in lines:
        if line.group == WITH_NEIGHBOURS and line.way == lines[0].way:
            table.add_section()
        shares = (line.valid.value, line.conforms.value)
        table.add_row(
            line.group,
            line.way,
            str(line.calls),
            *(f"{share:.1%}" for share in shares),
            _three(line.precision.value),
            _three(line.recall.value),
            str(line.f1),
            "-" if line.length is None else f"{line.length:.2f}",
            f"{line.agrees.value:.1%}",
        )
    return table


def value_table(lines: Sequence["Fidelity"]) -> Table:
    """Show the share of values that are equal by type, and who answered, over all calls."""
    table = Table(title="Equal values by type, over all calls")
    table.add_column("Engine")
    overall = [line for line in lines if line.group == OVERALL]
    for kind in overall[0].values if overall else ():
        table.add_column(kind, justify="right")
    table.add_column("Answered by")
    for line in overall:
        by = ", ".join(f"{name} {count}" for name, count in line.by.items())
        table.add_row(line.way, *(str(mean) for mean in line.values.values()), by)
    return table


def provenance_line(setting: Setting) -> str:
    """Say how many calls were made, and how many not answered from a recording."""
    total = sum(setting.provenance.values()) + setting.unstated
    counts = {**setting.provenance, "not stated": setting.unstated}
    others = [f"{n} {source}" for source, n in counts.items() if n and source != "recorded"]
    return f"{total} ({', '.join(others)})" if others else str(total)


def _three(share: float | None) -> str:
    return "-" if share is None else f"{share:.3f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _span(interval: tuple[float, float]) -> str:
    return f"[{100 * interval[0]:.0f}-{100 * interval[1]:.0f}]"


def making_table(statistics: Mapping[str, Any]) -> Table:
    """Show what became of the drafts of a making: kept, or dropped and why."""
    table = _table(f"Instructions by {statistics['writer']}", ["Drafts"], ["Number", "Share"])
    written = statistics["written"]

    def row(name: str, number: int) -> None:
        table.add_row(name, str(number), f"{number / written:.1%}" if written else "")

    row(f"written over {statistics['samples']} samples", written)
    row("kept", statistics["kept"])
    for reason, number in statistics["dropped"].items():
        row(f"dropped: {reason}", number)
    for reason, number in statistics.get("left_out", {}).items():
        row(f"left out of the split: {reason}", number)
    table.add_row("samples with nothing written", str(statistics["silent"]), "")
    return table
