"""The command `export gguf`."""

from pathlib import Path
from typing import Annotated

import typer


def gguf(
    adapter: Annotated[Path, typer.Argument(help="What toolreplay train lora made.")],
    out: Annotated[Path, typer.Option(help="The GGUF file to write.")],
    base: Annotated[
        str | None, typer.Option(help="The base, where it is no longer where it was in training.")
    ] = None,
    adapter_only: Annotated[
        bool, typer.Option("--adapter-only", help="The adapter alone, to be laid over its base.")
    ] = False,
    quantise: Annotated[
        str, typer.Option(help="F16 (as it is), Q8_0, Q4_K_M or another of llama.cpp's kinds.")
    ] = "F16",
) -> None:
    """Write a fine-tuned model, or its adapter alone, as a file for llama.cpp.

    \b
    Examples:
      toolreplay export gguf adapters/first --out first.gguf
      toolreplay export gguf adapters/first --out first-q4.gguf --quantise Q4_K_M
      toolreplay export gguf adapters/first --out first-lora.gguf --adapter-only
    """
    from sandbox.errors import BadInput
    from trainer.adapter import merged, read_adapter_config
    from trainer.base import find_base
    from trainer.card import layout_of_card, read_card
    from trainer.gguf_adapter import export_adapter
    from trainer.gguf_export import export_model
    from trainer.position import compress
    from trainer.quantise import FULL, quantised

    if adapter_only and quantise != FULL:
        raise BadInput("An adapter stays in F16: --quantise goes with a merged model only.")
    settings = read_adapter_config(adapter)
    source = find_base(base or settings["base_model_name_or_path"])
    card = read_card(adapter)
    factor, layout = card.get("context_factor", 1.0), layout_of_card(card)
    if adapter_only:
        export_adapter(adapter, source, out, adapter.name, layout, factor)
        if factor > 1:
            typer.echo(
                f"Serve it with the base's positions compressed: rope_freq_scale={1 / factor:g}"
            )
    else:
        with quantised(out, quantise) as full:
            model = source.model()
            compress(model, factor)
            export_model(merged(model, adapter), source, full, adapter.name, layout)
    typer.echo(f"{out}: {out.stat().st_size / 1e6:,.1f} MB")
