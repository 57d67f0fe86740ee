"""The command `train retriever`."""

from pathlib import Path
from typing import Annotated

import typer

from toolreplay.commands.options import CheckpointEvery, Resume, RetrievalQueries
from toolreplay.commands.screen import progress_bar


def retriever(
    queries: RetrievalQueries,
    out: Annotated[Path, typer.Option(help="The retriever's directory.")],
    base: Annotated[
        Path | None,
        typer.Option(help="The encoder to start from, a directory; by default MiniLM."),
    ] = None,
    hold_out: Annotated[
        float,
        typer.Option(
            min=0, max=0.9, help="Share of the queries to keep, with all their tools, for a test."
        ),
    ] = 0.0,
    epochs: Annotated[int, typer.Option(min=1, help="How often to go through the queries.")] = 5,
    batch: Annotated[int, typer.Option(min=2, help="Queries of one update.")] = 16,
    learning_rate: Annotated[float, typer.Option(min=0)] = 5e-5,
    temperature: Annotated[
        float, typer.Option(min=0.001, help="Cosines are divided by it.")
    ] = 0.05,
    layers: Annotated[
        int, typer.Option(min=1, help="Layers to train, from the last; the others stay.")
    ] = 3,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    checkpoint_every: CheckpointEvery = 20,
    resume: Resume = False,
) -> None:
    """Train the retriever: the encoder, and how vectors and words are weighed.

    The documents are those that the queries' api_list or the worlds describe; the relevant APIs are
    what is learnt. A training that was stopped goes on with --resume and ends in the same bytes.

    \b
    Examples:
      toolreplay train retriever ../shared/toolbench/queries --out retrievers/mine
      toolreplay train retriever ../shared/toolbench/queries --out retrievers/tested --hold-out 0.33
      toolreplay eval-retriever retrievers/tested/held-out --retriever retrievers/tested
    """
    from toolreplay.models import require_retrieval

    require_retrieval()
    from solver.retriever import default_encoder
    from solver.retriever.collection import read_collection, write_toolbench
    from trainer.retriever import Settings, train_retriever
    from trainer.retriever.training import Step

    settings = Settings(
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        temperature=temperature,
        layers=layers,
        seed=seed,
    )
    collection = read_collection(queries, "train")
    if hold_out:
        collection, test = collection.hold_out(hold_out, seed)
    with progress_bar() as progress:
        task = progress.add_task("Reading", total=None)

        def on_step(step: Step) -> None:
            told = f"Training, loss {step.losses[-1]:.3f}"
            progress.update(task, completed=step.number, total=step.of, description=told)

        def on_stage(stage: str) -> None:
            progress.update(task, description=stage)

        about = train_retriever(
            collection,
            base or default_encoder(),
            out,
            settings,
            resume,
            checkpoint_every,
            on_step,
            on_stage,
        )
    if hold_out:
        write_toolbench(out / "held-out", collection, test)
    typer.echo(
        f"{out}: {len(collection.queries)} queries over {len(collection.documents):,} APIs, "
        f"{about['steps']} steps, loss {about['losses'][0]:.3f} -> {about['losses'][-1]:.3f}"
    )
    if hold_out:
        typer.echo(f"Test it: toolreplay eval-retriever {out}/held-out --retriever {out}")
