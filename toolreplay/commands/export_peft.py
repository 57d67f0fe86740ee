"""The command `export peft`."""

from pathlib import Path
from typing import Annotated

import typer


def peft(
    adapter: Annotated[
        str, typer.Argument(help="An adapter's GGUF file, or the name of one that comes along.")
    ],
    base: Annotated[str, typer.Option(help="The base that it was trained on.")],
    out: Annotated[Path, typer.Option(help="The directory to write.")],
) -> None:
    """Write an adapter's GGUF file as a directory in peft's layout.

    It can then be trained further, merged and quantised, or opened by peft itself.

    \b
    Examples:
      toolreplay export peft toolllama --base gemma-3-270m-q4_k_m --out adapters/toolllama
      toolreplay train lora more.jsonl --base gemma-3-270m-q4_k_m --layout compact \\
          --start adapters/toolllama --out adapters/mine
      toolreplay export gguf adapters/toolllama --out toolllama-f16.gguf
    """
    from toolreplay.models import require_llama

    require_llama()
    from sandbox.llama.files import find_adapter
    from trainer.base import find_base
    from trainer.gguf_adapter import import_adapter

    import_adapter(find_adapter(adapter), find_base(base), out)
    typer.echo(f"{out}: an adapter in peft's layout")
