"""Tables for the terminal."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from eval.evaluation import OVERALL, Evaluation, Setting
from eval.fidelity import WITH_NEIGHBOURS

if TYPE_CHECKING:
    from eval.fidelity import Fidelity
    from sandbox.drift import Drift
    from sandbox.probe import Probed

METHOD_TITLES = {"CoT@1": "ReACT", "DFS_woFilter_w2": "DFSDT"}
"""The paper's names for ToolBench's."""


def method_title(method: str) -> str:
    """Name a method as the paper does, where it has a name for it."""
    return METHOD_TITLES.get(method, method.replace("CoT@", "ReACT@"))


def setting_table(evaluation: Evaluation) -> Table:
    """Show one run: a line per setting."""
    table = Table(title=f"{evaluation.model}, {method_title(evaluation.method)}")
    table.add_column("Setting")
    for heading in (
        "Instructions",
        "Pass rate [95%]",
        "Grounded rate [95%]",
        "API calls",
        "Model calls",
    ):
        table.add_column(heading, justify="right")
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


def comparison_table(evaluations: Sequence[Evaluation]) -> Table:
    """Show several runs like table 4 of the paper: methods down, settings across."""
    table = Table(title="Pass rate / grounded rate, in percent, with 95% intervals")
    table.add_column("Model")
    table.add_column("Method")
    for setting in evaluations[0].settings:
        table.add_column(f"{setting.name}\n({setting.passed.total})", justify="right")
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

    table = Table(title="Drift")
    for heading in ("API", "Calls", "Breaking", "Status", "Gone", "Added", "Retyped", "Values"):
        table.add_column(heading, overflow="fold")
    for drift in by_api(drifts):
        status = "\n".join(f"{was} -> {now}" for was, now in sorted(drift.status))
        fields = (drift.gone, drift.added, drift.retyped, drift.values)
        cells = ["\n".join(sorted(paths)) for paths in fields]
        table.add_row(drift.api, str(drift.calls), str(drift.breaking), status, *cells)
    return table


def probe_table(findings: Sequence["Probed"]) -> Table:
    """Show why APIs should go, a line each."""
    table = Table(title="APIs to drop")
    for heading in ("Category", "Tool", "API", "Reason"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        table.add_row(finding.tool.category, finding.tool.name, finding.api.name, finding.reason)
    return table


def fidelity_table(lines: Sequence["Fidelity"]) -> Table:
    """Show how true simulated answers are, a line per group and engine."""
    table = Table(title="Simulated and recorded answers; key F1 with 95% bootstrap intervals")
    for heading in ("Group", "Engine"):
        table.add_column(heading, overflow="fold")
    headings = ("Calls", "JSON", "Schema", "Precision", "Recall", "Key F1", "Length", "Outcome")
    for heading in headings:
        table.add_column(heading, justify="right")
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
    total = sum(setting.provenance.values())
    others = [
        f"{n} {source}" for source, n in setting.provenance.items() if n and source != "recorded"
    ]
    return f"{total} ({', '.join(others)})" if others else str(total)


def _three(share: float | None) -> str:
    return "-" if share is None else f"{share:.3f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _span(interval: tuple[float, float]) -> str:
    return f"[{100 * interval[0]:.0f}-{100 * interval[1]:.0f}]"
