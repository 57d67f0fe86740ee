"""The command `eval`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolreplay.commands.options import (
    Against,
    AsJson,
    ExecutorName,
    Judges,
    JudgeUrl,
    VerdictMode,
    Votes,
)
from toolreplay.commands.screen import progress_bar, show, show_json

if TYPE_CHECKING:
    from eval.contest import Contest
    from eval.evaluation import Aspect, Evaluation
    from eval.labels import Labels


def evaluate(
    run: Annotated[
        Path, typer.Argument(help="A run, or a folder of (converted) answers of ToolBench's kind.")
    ],
    against: Against = None,
    judge: Judges = None,
    votes: Votes = 1,
    mode: VerdictMode = "replay",
    ask: Annotated[
        list[str] | None,
        typer.Option(help="What judges are asked beside the status: solvable, correct."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Labels to compare with: a CSV of one's own, or a pass_rate/ file."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report that opens offline.")] = None,
    into: Annotated[
        Path | None,
        typer.Option(help="Where verdicts and the judges' tape go; by default into the run."),
    ] = None,
    base_url: JudgeUrl = None,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, help="Answers at once.")] = 1,
    executor: ExecutorName = "local",
    as_json: AsJson = False,
) -> None:
    """Judge a run: pass rate, grounded rate, and where its API answers came from.

    Without --judge the rule judges. A model's verdicts go onto a tape in the run, so the same
    command replays them without the model; in replay (the default) nothing else is asked.

    \b
    Examples:
      toolreplay eval runs/demo/dfsdt
      toolreplay eval runs/demo/dfsdt --against runs/demo/react --html report.html
      toolreplay eval runs/mine --judge openai:gpt-4o-mini --votes 3 --mode live
      toolreplay eval runs/mine --judge openai:gpt-4o-mini --mode live --executor ray --workers 8
      toolreplay eval runs/mine --judge recorded --votes 3 --labels people.csv --json
    """
    from functools import partial

    from eval.case import Cases
    from eval.contest import contest
    from eval.evaluation import evaluate as evaluate_run
    from eval.labels import read_labels
    from eval.report import Side, write_report
    from sandbox.executor import open_executor
    from toolreplay.judging import judges_hosts, opened_case_judge, opened_judges
    from toolreplay.modes import read_mode

    aspects = _aspects(ask or [])
    cases = Cases(run)
    others = Cases(against) if against else None
    folder = into or (run if cases.is_run else None)
    published = read_labels(labels) if labels else None
    names = judge or (["rule"] if against else [])
    chosen = read_mode(mode)
    also = [against] if against else []
    hosts = judges_hosts(names, chosen, base_url)
    with (
        progress_bar() as progress,
        open_executor(executor, workers) as spread,
        opened_judges(names, folder, chosen, votes, base_url, also) as judges,
    ):
        task = progress.add_task("Judging", total=len(cases) + 2 * len(others or []))

        def advance() -> None:
            progress.advance(task)

        own = judges if judge else []

        def evaluated(
            judged: Cases, labels: "Labels | None", into: Path | None, keep: bool
        ) -> "Evaluation":
            opened = partial(opened_case_judge, judged, own, aspects, hosts)
            return evaluate_run(judged, own, aspects, labels, into, advance, keep, spread, opened)

        evaluation = evaluated(cases, published, folder, keep=True)
        match = theirs = None
        if others is not None:
            theirs = evaluated(others, None, None, keep=False)
            match = contest(cases, evaluation, others, theirs, judges[0], advance)
    if html is not None:
        other_side = Side(others, theirs) if others is not None and theirs is not None else None
        write_report(html, Side(cases, evaluation), other_side, match)
    if as_json:
        shown: dict[str, Any] = evaluation.to_json()
        show_json({**shown, "contest": match.to_json()} if match else shown)
        return
    _show(evaluation, match)
    if html is not None:
        typer.echo(f"Report: {html}")


def _show(evaluation: "Evaluation", match: "Contest | None") -> None:
    from toolreplay.tables import agreement_table, contest_table, judge_table, setting_table

    show(setting_table(evaluation))
    judged = evaluation.settings[-1].judged
    if judged:
        show(judge_table(evaluation))
    if evaluation.agreements:
        show(agreement_table(evaluation.agreements))
    if match is not None:
        show(contest_table(match))
    for figures in judged:
        if figures.undecided:
            names = ", ".join(figures.undecided)
            typer.echo(f"{figures.judge} gave no verdict on (counted in no rate): {names}")


def _aspects(names: list[str]) -> "list[Aspect]":
    from sandbox.errors import BadInput

    known: dict[str, Aspect] = {"solvable": "solvable", "correct": "correct"}
    for name in names:
        if name not in known:
            raise BadInput(f"--ask {name}: take solvable or correct.")
    return [known[name] for name in names]
