"""The commands below `export`."""

from pathlib import Path
from typing import Annotated

import typer

from toolreplay.commands.export_gguf import gguf
from toolreplay.commands.export_peft import peft
from toolreplay.commands.options import Judges, JudgeUrl, VerdictMode, Votes

app = typer.Typer(no_args_is_help=True, help="Write what other tools read.")
app.command("gguf")(gguf)
app.command("peft")(peft)

Run = Annotated[Path, typer.Argument(help="A run, or a folder of answers of ToolBench's kind.")]


@app.command("tooleval")
def tooleval(
    run: Run,
    out: Annotated[Path, typer.Option(help="The folder that gets <set>.json.")],
    method: Annotated[
        str | None, typer.Option(help="What to call the method; by default the answers' own name.")
    ] = None,
) -> None:
    """Convert answers to ToolEval's format, a file per set.

    A failed search has no path of its own: of it, the path that was taken first is written.

    \b
    Examples:
      toolreplay export tooleval runs/demo/dfsdt --out converted/dfsdt
      toolreplay export tooleval answer/virtual_chatgpt_cot --out converted/virtual_chatgpt_cot
    """
    from dataclasses import replace

    from eval.case import Cases
    from eval.conversion import Converted, dump
    from sandbox.disk import write_whole
    from sandbox.names import folder_name

    sets: dict[str, dict[str, Converted]] = {}
    for case in Cases(run):
        named = replace(case, method=method or case.method)
        converted = sets.setdefault(case.instruction.set_name, {})
        converted[str(case.instruction.query_id)] = named.converted
    for name, converted in sets.items():
        write_whole(out / f"{folder_name(name)}.json", dump(converted))
    typer.echo(f"{sum(map(len, sets.values()))} converted answers in {out}")


@app.command("leaderboard")
def leaderboard(
    runs: Annotated[list[Path], typer.Argument(help="The runs to rank.")],
    against: Annotated[Path, typer.Option(help="The run that they are compared with.")],
    out: Annotated[Path, typer.Option(help="The CSV to write.")],
    judge: Judges = None,
    votes: Votes = 1,
    mode: VerdictMode = "replay",
    base_url: JudgeUrl = None,
) -> None:
    """Write ToolEval's leaderboard: win rates against one run, in percent.

    \b
    Examples:
      toolreplay export leaderboard runs/demo/dfsdt --against runs/demo/react --out board.csv
    """
    from eval.case import Cases
    from eval.contest import contest
    from eval.evaluation import evaluate
    from eval.leaderboard import Entry, write_leaderboard
    from toolreplay.judging import opened_judges
    from toolreplay.modes import read_mode

    reference = Cases(against)
    entries = []
    for run in runs:
        cases = Cases(run)
        names = judge or ["rule"]
        with opened_judges(names, run, read_mode(mode), votes, base_url, [against]) as judges:
            own = judges if judge else []
            ours, theirs = (evaluate(c, own, keep=False) for c in (cases, reference))
            match = contest(cases, ours, reference, theirs, judges[0])
        entries.append(Entry(f"{cases.model}-{cases.method}", match.preferences))
    write_leaderboard(out, f"{reference.model}-{reference.method}", entries)
    typer.echo(f"{len(entries) + 1} methods in {out}")


@app.command("inspect")
def inspect(
    run: Run,
    out: Annotated[Path, typer.Option(help="The log to write: .eval or .json.")],
) -> None:
    """Write a run as a log of Inspect, for `inspect view` (needs the extra `inspect`).

    \b
    Examples:
      toolreplay export inspect runs/demo/dfsdt --out logs/dfsdt.eval
    """
    from eval.inspect_log import write_inspect_log

    count = write_inspect_log(run, out)
    typer.echo(f"{count} samples in {out}. Look at them: inspect view --log-dir {out.parent}")
