"""The command `eval-retriever`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolreplay.commands.options import AsJson, RetrievalQueries
from toolreplay.commands.screen import progress_bar, show, show_json

if TYPE_CHECKING:
    from rich.table import Table

    from eval.bootstrap import Mean
    from eval.retrieval import Line


def evaluate_retriever(
    queries: RetrievalQueries,
    retriever: Annotated[
        Path | None,
        typer.Option(help="A trained retriever, or an encoder; by default MiniLM, untrained."),
    ] = None,
    corpus: Annotated[
        list[Path] | None,
        typer.Option(help="More documents to search among, from the same kinds of files."),
    ] = None,
    way: Annotated[
        list[str] | None, typer.Option(help="hybrid, rrf, dense or bm25; repeat; by default all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a retriever: NDCG, recall and MRR per kind of query, beside BM25.

    The documents are those that the queries' api_list or the worlds describe. Intervals are 95%
    bootstrap intervals over groups of queries that share tools.

    \b
    Examples:
      toolreplay eval-retriever ../shared/toolbench/queries
      toolreplay eval-retriever G1_tool.json G3_instruction.json --retriever retrievers/mine --json
      toolreplay eval-retriever G1_tool.json --corpus queries/ --retriever retrievers/mine
    """
    from toolreplay.models import require_retrieval

    require_retrieval()
    from eval.retrieval import measure, rankings
    from solver.retriever import Encoder, Index, Retriever, default_encoder
    from solver.retriever.collection import read_collection
    from solver.retriever.retriever import read_way, read_weights

    path = retriever or default_encoder()
    weights = read_weights(path)
    every = ["bm25", "dense", "rrf", *(["hybrid"] if weights else [])]
    ways = [read_way(name) for name in way or every]
    collection = read_collection(queries, "test", corpus or [])
    encoder = Encoder(path)
    with progress_bar() as progress:
        task = progress.add_task("Encoding documents", total=None)

        def advance(done: int, of: int) -> None:
            progress.update(task, completed=done, total=of)

        index = Index.build(collection.documents, encoder, advance=advance)
        found = rankings(Retriever(index, encoder, weights), collection, ways)
    lines = measure(collection.queries, collection.groups(), found)
    if as_json:
        counts = {"documents": len(collection.documents), "dropped": collection.dropped}
        show_json({**counts, "lines": [line.to_json() for line in lines]})
        return
    show(retrieval_table(lines, len(collection.documents)))
    if collection.dropped:
        typer.echo(f"{collection.dropped} queries have no relevant API with a document: left out.")


def retrieval_table(lines: "list[Line]", documents: int) -> "Table":
    """Show figures in percent: a line per kind of query and way to rank."""
    from rich.table import Table

    names = list(lines[0].figures)
    table = Table(title=f"Retrieval from {documents:,} APIs, in percent, with 95% intervals")
    table.add_column("Queries")
    table.add_column("Ranked by")
    for name in (*names, "NDCG@5 over BM25"):
        table.add_column(name, justify="right")
    kind = ""
    for line in lines:
        if kind and line.kind != kind:
            table.add_section()
        kind = line.kind
        cells = [_percent(mean) for mean in (*line.figures.values(), line.gain)]
        table.add_row(f"{line.kind} ({line.gain.count})", line.way, *cells)
    return table


def _percent(mean: "Mean") -> str:
    value, low, high = (100 * (number or 0) for number in (mean.value, mean.low, mean.high))
    return f"{value:.1f} [{low:.0f}, {high:.0f}]"
