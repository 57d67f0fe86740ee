"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Key = Annotated[str | None, typer.Option(envvar="RAPIDAPI_KEY", help="Sent as X-RapidAPI-Key.")]
Via = Annotated[str | None, typer.Option(help="Reach every host at this address (local services).")]
Host = Annotated[
    list[str] | None,
    typer.Option(
        help="Call these hosts alone, wherever they are, not all documented ones at public "
        "addresses; repeat for several."
    ),
]
Budget = Annotated[int | None, typer.Option(min=1, help="Live calls to make at most.")]
Workers = Annotated[
    int, typer.Option("--workers", "-w", min=1, help="Instructions to solve at once.")
]
ExecutorName = Annotated[
    str,
    typer.Option(
        "--executor",
        help="local (threads) or ray: processes of the cluster that RAY_ADDRESS names, or of a new "
        "one here.",
    ),
]
Store = Annotated[
    str | None,
    typer.Option(
        envvar="TOOLREPLAY_STORE",
        help="A PostgreSQL database that holds the world's recordings (see world load), as "
        "postgresql://HOST/NAME.",
    ),
]
SimulatorName = Annotated[
    str,
    typer.Option(
        "--simulator",
        help="Who answers unseen calls: auto, recordings (no model), made-up, or a model's name.",
    ),
]
SimulatorUrl = Annotated[
    str | None, typer.Option(help="The address of the simulator's model, if another one.")
]
State = Annotated[
    bool, typer.Option(help="Show the simulator what was said before for the same instruction.")
]
ModelUrl = Annotated[
    str | None, typer.Option(envvar="OPENAI_BASE_URL", help="The model server's address.")
]
Judges = Annotated[
    list[str] | None,
    typer.Option(
        "--judge",
        help="rule, recorded[:NAME], openai:NAME or llama:FILE; repeat to compare judges.",
    ),
]
Votes = Annotated[int, typer.Option(min=1, help="How often a judge is asked each question.")]
VerdictMode = Annotated[
    str,
    typer.Option(
        "--mode", help="The judge's: replay (recorded verdicts), live (ask what is new), refresh."
    ),
]
JudgeUrl = Annotated[str | None, typer.Option(envvar="OPENAI_BASE_URL", help="The judge's server.")]
CheckpointEvery = Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from a checkpoint.")]
RetrievalQueries = Annotated[
    list[Path],
    typer.Argument(help="Query files, folders of them, worlds, or ToolBench's retrieval files."),
]
Way = Annotated[
    str,
    typer.Option(help="How to rank: hybrid (trained weights, or rrf without), rrf, dense or bm25."),
]
Against = Annotated[Path | None, typer.Option(help="Another run to compare with.")]
