"""The command `dataset`."""

import json
from pathlib import Path
from typing import Annotated

import typer


def dataset(
    runs: Annotated[list[Path], typer.Argument(help="Runs, folders of answers, or answers.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    layout: Annotated[
        str,
        typer.Option(
            help="toolbench (one instance per step); conversations (one path a line, for train "
            "lora); or openai (one path a line)."
        ),
    ] = "toolbench",
    grounded: Annotated[
        bool,
        typer.Option(
            "--grounded", help="Only grounded paths, one an instruction: the first run's."
        ),
    ] = False,
    give_up: Annotated[
        bool,
        typer.Option(
            "--give-up",
            help="Beside them: giving up after the first wrong call of another run's search.",
        ),
    ] = False,
    try_again: Annotated[
        bool,
        typer.Option(
            "--try-again",
            help="Beside them: the right call in the place of the first wrong one, asked for as a "
            "search asks that comes back.",
        ),
    ] = False,
    doubts: Annotated[
        bool,
        typer.Option(
            "--doubts",
            help="Beside them: each call that settles a doubt, asked for as a doubting search "
            "asks for it.",
        ),
    ] = False,
    masked: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Share of the paths in which functions get made-up names, so that their "
            "descriptions have to be read.",
        ),
    ] = 0.0,
) -> None:
    """Turn solution paths into training conversations.

    Of the runs of a model, --grounded keeps what is worth learning (rejection sampling); of several
    runs over the same instructions, earlier ones count first.

    \b
    Examples:
      toolreplay dataset runs/demo/dfsdt --out training.json
      toolreplay dataset runs/demo/dfsdt --layout conversations --out training.jsonl
      toolreplay dataset runs/model runs/planner --grounded --layout conversations --out t.jsonl
      toolreplay dataset ../shared/toolbench/answers --layout openai --out training.jsonl
    """
    from sandbox.disk import write_whole
    from sandbox.errors import BadInput
    from toolreplay.selection import grounded_paths
    from trainer.dataset import conversations, instances, openai_records, read_answers
    from trainer.masking import mask

    lines = {"conversations": conversations, "openai": openai_records}
    if (give_up or try_again or doubts) and not grounded:
        raise BadInput(
            "--give-up, --try-again and --doubts go with --grounded, which tells good answers from "
            "bad ones."
        )
    chosen = grounded_paths(runs, give_up, try_again, doubts) if grounded else read_answers(runs)
    answers = mask(chosen, masked)
    if layout == "toolbench":
        records = list(instances(answers))
        text = json.dumps(records, ensure_ascii=False, indent=1) + "\n"
    elif layout in lines:
        records = list(lines[layout](answers))
        text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    else:
        raise BadInput(f"No layout {layout!r}: take toolbench, conversations or openai.")
    write_whole(out, text)
    typer.echo(f"{len(records)} training conversations in {out}")
