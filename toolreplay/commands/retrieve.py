"""The command `retrieve`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolreplay.commands.options import AsJson, Way
from toolreplay.commands.screen import progress_bar, show, show_json

if TYPE_CHECKING:
    from sandbox.world import World
    from solver.retriever import Found, Retriever


def retrieve(
    world: Annotated[Path, typer.Argument(help="The world whose APIs are searched.")],
    request: Annotated[str, typer.Argument(help="What a user wants, in English.")],
    count: Annotated[int, typer.Option("-k", min=1, help="APIs to give.")] = 5,
    retriever: Annotated[
        Path | None,
        typer.Option(help="A trained retriever, or an encoder; by default MiniLM, untrained."),
    ] = None,
    way: Way = "hybrid",
    as_json: AsJson = False,
) -> None:
    """Find the APIs that fit a request, by vectors and by words.

    The world's index is made at the first request, and brought up to date when its documents have
    changed.

    \b
    Examples:
      toolreplay retrieve cassettes/demo "When is the next full moon?"
      toolreplay retrieve worlds/mine "Track my parcel and convert its price to euros" -k 10 \\
          --retriever retrievers/mine --json
    """
    from sandbox.world import World
    from solver.retriever.retriever import read_way

    ranking = read_way(way)
    found = opened_retriever(World(world), retriever).search(request, count, ranking)
    if as_json:
        show_json([{**f.document.to_entry(), "score": round(f.score, 6)} for f in found])
        return
    show(_table(found))


def opened_retriever(world: "World", model: Path | None) -> "Retriever":
    """Open a world's retriever, and tell what is done with its index.

    Raises:
        BadInput: the extra is not installed, or world, model or index cannot be used.
    """
    from toolreplay.models import require_retrieval

    require_retrieval()
    from solver.retriever import open_retriever

    with progress_bar() as progress:
        task = progress.add_task("Encoding documents", total=None, visible=False)

        def advance(done: int, of: int) -> None:
            progress.update(task, completed=done, total=of, visible=True)

        opened, state = open_retriever(world, model, advance)
    if state != "as it was":
        count = len(opened.index.documents)
        typer.echo(f"The index of {world.path} was {state}: {count:,} APIs.", err=True)
    return opened


def _table(found: "list[Found]"):  # type: ignore[no-untyped-def]
    from rich.table import Table

    table = Table()
    for heading in ("Category", "Tool", "API"):
        table.add_column(heading)
    table.add_column("Score", justify="right")
    for one in found:
        document = one.document
        table.add_row(document.category, document.tool, document.api, f"{one.score:.3f}")
    return table
