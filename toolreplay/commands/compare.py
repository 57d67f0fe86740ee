"""The command `compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolreplay.commands.options import AsJson, Judges, JudgeUrl, VerdictMode, Votes
from toolreplay.commands.screen import show, show_json

if TYPE_CHECKING:
    from eval import comparison as gate


def compare(
    baseline: Annotated[Path, typer.Argument(help="The run that was good enough.")],
    run: Annotated[Path, typer.Argument(help="The run to check.")],
    by: Annotated[
        str | None,
        typer.Option(
            help="What makes an answer good: rule (grounded where there are facts, else passed), "
            "passed, grounded or solved (a judge's; the default with --judge)."
        ),
    ] = None,
    fail_on: Annotated[
        str,
        typer.Option(help="flips (more lost than allowed) or significant (McNemar's p < 0.05)."),
    ] = "flips",
    allow: Annotated[int, typer.Option(min=0, help="Lost answers that flips lets pass.")] = 0,
    shared_only: Annotated[
        bool, typer.Option(help="Compare the instructions that both have.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML.")] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write a summary for a pull request.")
    ] = None,
    judge: Judges = None,
    votes: Votes = 1,
    mode: VerdictMode = "replay",
    base_url: JudgeUrl = None,
    as_json: AsJson = False,
) -> None:
    """Say what flipped since a baseline and why; exit with 1 when it is a regression.

    For each flip it names the first step at which the two searches part: another completion,
    another API answer, or an answer from elsewhere. Exits with 2 where a run is broken or lacks
    instructions of the baseline.

    \b
    Examples:
      toolreplay compare runs/baseline runs/new
      toolreplay compare runs/baseline runs/new --allow 2 --junit junit.xml --markdown summary.md
      toolreplay compare runs/baseline runs/new --judge recorded:gpt-4o-mini --votes 3 \\
          --fail-on significant
    """
    from eval import comparison as gate
    from eval.case import Cases
    from eval.evaluation import evaluate
    from sandbox.disk import write_whole
    from toolreplay.judging import opened_judges
    from toolreplay.modes import read_mode
    from toolreplay.tables import flip_table

    measure = _measure(by or ("solved" if judge else "rule"), bool(judge))
    pair = Cases(baseline), Cases(run)
    with opened_judges(judge or [], run, read_mode(mode), votes, base_url, [baseline]) as judges:
        before, after = (evaluate(cases, judges, keep=False) for cases in pair)
    found = gate.compare(*pair, (before, after), measure, _fail_on(fail_on), allow, shared_only)
    if junit is not None:
        write_whole(junit, gate.junit(found))
    if markdown is not None:
        write_whole(markdown, gate.markdown(found))
    if as_json:
        show_json(found.to_json())
    else:
        if found.of_kind("lost") or found.of_kind("won"):
            show(flip_table(found))
        for change in found.of_kind("undecided"):
            typer.echo(f"Not decided: {change.instruction}")
        if found.unshared:
            typer.echo(f"In one run alone: {len(found.unshared)} instructions")
        typer.echo(f"{found.ruling} Difference {found.difference}.")
    if found.regressed:
        raise typer.Exit(1)


def _measure(name: str, judged: bool) -> "gate.Measure":
    from sandbox.errors import BadInput

    named: dict[str, gate.Measure] = {
        "rule": "rule",
        "passed": "passed",
        "grounded": "grounded",
        "solved": "solved",
    }
    if name not in named:
        raise BadInput(f"--by {name}: take rule, passed, grounded or solved.")
    if name == "solved" and not judged:
        raise BadInput("--by solved needs a judge: add --judge.")
    return named[name]


def _fail_on(name: str) -> "gate.FailOn":
    from sandbox.errors import BadInput

    named: dict[str, gate.FailOn] = {"flips": "flips", "significant": "significant"}
    if name not in named:
        raise BadInput(f"--fail-on {name}: take flips or significant.")
    return named[name]
