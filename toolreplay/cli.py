"""The command line: the commands of `toolreplay.commands` by their names."""

import sqlite3
import sys
from typing import Annotated, NoReturn

import typer

from sandbox.disk import cannot_write
from sandbox.errors import ToolReplayError
from toolreplay import __version__
from toolreplay.commands import (
    compare,
    dataset,
    demo,
    doctor,
    evaluate,
    evaluate_retriever,
    export,
    fidelity,
    instructions,
    model,
    probe,
    record,
    retrieve,
    serve,
    simulate,
    solve,
    train,
    world,
)

app = typer.Typer(
    name="toolreplay",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; what can be mended by its user is told in words, and exits with 2."""
    try:
        app()
    except ToolReplayError as error:
        _refuse(error)
    except (OSError, sqlite3.Error) as error:
        told = cannot_write(error)
        if told is None:
            raise
        _refuse(told)
    except ModuleNotFoundError as error:
        from toolreplay.extras import missing_module

        lacking = missing_module(error.name)
        if lacking is None:
            raise
        _refuse(lacking)


def _refuse(error: ToolReplayError) -> NoReturn:
    typer.echo(f"Error: {error}", err=True)
    sys.exit(2)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"toolreplay {__version__}")
        raise typer.Exit


@app.callback()
def toolreplay(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """ToolLLM on tape: search, judge and compare tool-using agents offline, the same every time.

    \b
    Examples:
      toolreplay demo
      toolreplay world import toolbench data/ --into worlds/mine
      toolreplay solve worlds/mine/instructions/toolbench.json --world worlds/mine \\
          --model recorded --as-recorded --out runs/again
      toolreplay eval runs/again --json
    """


app.command("demo")(demo.demo)
app.command("instructions")(instructions.instructions)
app.command("solve")(solve.solve)
app.command("eval")(evaluate.evaluate)
app.command("retrieve")(retrieve.retrieve)
app.command("eval-retriever")(evaluate_retriever.evaluate_retriever)
app.command("fidelity")(fidelity.fidelity)
app.command("compare")(compare.compare)
app.command("dataset")(dataset.dataset)
app.command("record")(record.record)
app.command("simulate")(simulate.simulate)
app.command("probe")(probe.probe)
app.command("serve")(serve.serve)
app.command("doctor")(doctor.doctor)
app.add_typer(export.app, name="export")
app.add_typer(world.app, name="world")
app.add_typer(model.app, name="model")
app.add_typer(train.app, name="train")
