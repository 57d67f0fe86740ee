"""The commands below `train`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolreplay.commands.options import CheckpointEvery, Resume
from toolreplay.commands.train_mean import mean
from toolreplay.commands.train_retriever import retriever

if TYPE_CHECKING:
    from trainer.lora import Step

app = typer.Typer(no_args_is_help=True, help="Train models: on solution paths, and the retriever.")
app.command("mean")(mean)
app.command("retriever")(retriever)

_LINES = 20
"""Steps that are told in a line of their own where there is no terminal to draw in."""


@app.command()
def lora(
    data: Annotated[list[Path], typer.Argument(help="What toolreplay dataset wrote.")],
    base: Annotated[
        str,
        typer.Option(help="A model's directory, a GGUF file, one that was pulled, or a hub name."),
    ],
    out: Annotated[Path, typer.Option(help="The adapter's directory.")],
    layout: Annotated[
        str | None,
        typer.Option(
            help="plain, compact, toolllama or native; by default the base's own, or plain."
        ),
    ] = None,
    apart: Annotated[
        bool, typer.Option("--apart", help="Each turn in a sequence of its own; slower.")
    ] = False,
    rank: Annotated[int, typer.Option(min=1)] = 16,
    alpha: Annotated[int, typer.Option(min=1, help="Weight of the update: alpha / rank.")] = 32,
    dropout: Annotated[float, typer.Option(min=0, max=0.9)] = 0.0,
    targets: Annotated[
        str | None, typer.Option(help="Layers to adapt, by commas; all linear ones by default.")
    ] = None,
    learning_rate: Annotated[float, typer.Option(min=0)] = 2e-4,
    epochs: Annotated[int, typer.Option(min=1, help="How often to go through the data.")] = 2,
    steps: Annotated[int | None, typer.Option(min=1, help="Updates to make, not epochs.")] = None,
    max_length: Annotated[
        int, typer.Option(min=16, help="Longest conversation; extends a shorter context.")
    ] = 8192,
    batch_tokens: Annotated[int, typer.Option(min=16, help="Tokens of one update.")] = 8192,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Less memory, a third more time.")
    ] = False,
    start: Annotated[
        Path | None, typer.Option(help="The directory of an adapter to begin with.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="bf16 or float32; by default bf16 on a GPU, float32 on a CPU."),
    ] = None,
    checkpoint_every: CheckpointEvery = 20,
    resume: Resume = False,
    note: Annotated[
        list[str] | None, typer.Option(help="A line for the training card; may be repeated.")
    ] = None,
) -> None:
    """Fine-tune a LoRA adapter on solution paths, with the loss on what the assistant said.

    On a GPU it computes in bf16, on a CPU in float32: --precision bf16 is some three times faster
    on a CPU that has it (AVX512-BF16, AMX). A training that was stopped goes on with --resume and
    ends in the same bytes.

    \b
    Examples:
      toolreplay train lora training.jsonl --base models/gemma-3-270m --out adapters/first
      toolreplay train lora training.jsonl --base gemma-3-270m-q4_k_m --out adapters/first \\
          --rank 8 --batch-tokens 2048 --max-length 2048
      toolreplay train lora training.jsonl --base models/llama --out adapters/first --resume
      toolreplay train lora more.jsonl --base models/llama --out adapters/second \\
          --start adapters/first
      accelerate launch --num_processes 2 "$(command -v toolreplay)" train lora training.jsonl \\
          --base models/llama --out adapters/first
    """
    from sandbox.errors import BadInput
    from toolreplay.models import require_llama
    from trainer.lora import LINEAR_LAYERS, PRECISIONS, Settings
    from trainer.recipe import Recipe, follow

    require_llama()

    if precision not in (None, *PRECISIONS):
        raise BadInput(f"--precision {precision}: take {' or '.join(PRECISIONS)}.")
    settings = Settings(
        rank=rank,
        alpha=alpha,
        dropout=dropout,
        targets=tuple(targets.split(",")) if targets else LINEAR_LAYERS,
        learning_rate=learning_rate,
        epochs=epochs,
        steps=steps,
        max_length=max_length,
        batch_tokens=batch_tokens,
        seed=seed,
        gradient_checkpointing=gradient_checkpointing,
        precision=precision,
    )
    notes = tuple(note or ())
    recipe = Recipe(data, base, out, layout, settings, apart, notes, checkpoint_every, start)
    with _screen() as on_step:
        card = follow(recipe, resume, on_step)
    if card is not None:
        typer.echo(
            f"{out}: {card['steps']} steps, loss {card['losses'][0]:.3f} -> "
            f"{card['final_loss']:.3f}, {card['seconds']:.0f} s"
        )


@contextmanager
def _screen() -> "Iterator[Callable[[Step], None]]":
    """Show the loss as it falls: a curve in a terminal, lines elsewhere."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from trainer.curve import terminal_curve

    console = Console(stderr=True)

    def told(step: "Step") -> str:
        rate = step.seconds / step.number
        left = rate * (step.of - step.number)
        return (
            f"step {step.number}/{step.of}  loss {step.losses[-1]:.3f}  {step.tokens} tokens  "
            f"{rate:.1f} s a step  {left / 60:.0f} min left"
        )

    if not console.is_terminal:

        def line(step: "Step") -> None:
            if step.number == step.of or step.number % max(1, step.of // _LINES) == 0:
                typer.echo(told(step), err=True)

        yield line
        return
    with Live(console=console, auto_refresh=False) as live:

        def curve(step: "Step") -> None:
            live.update(Text(f"{terminal_curve(step.losses)}\n{told(step)}"), refresh=True)

        yield curve
