"""What quantisation costs: size, perplexity and logits of one model in llama.cpp's kinds.

The model, with its adapter merged in where there is one, is written in F16 and quantised from
that. The perplexity is over what the assistant says in training data that was kept back. The first
line is transformers itself, in float32, over the same tokens.

    python -m benchmarks.quantisation BASE DATA [--adapter DIRECTORY] [--kinds Q8_0 Q4_K_M]
"""

import argparse
import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from trainer.adapter import merged
from trainer.base import find_base
from trainer.conversation import read_conversations, render
from trainer.gguf_adapter import export_adapter
from trainer.gguf_export import export_model
from trainer.layout import layout_of
from trainer.perplexity import Reader, surprise
from trainer.quantise import quantise
from trainer.sequence import IGNORED, Sequence


def reference(
    model: PreTrainedModel, sequences: list[Sequence]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Give transformers' logits at the learnt positions of each sequence, and the targets."""
    for sequence in sequences:
        targets = torch.tensor([sequence.targets])
        asked = targets != IGNORED
        with torch.no_grad():
            logits = model(torch.tensor([sequence.tokens]), logits_to_keep=asked).logits
        yield logits, targets[asked]


def compare(
    path: Path,
    adapter: Path | None,
    sequences: list[Sequence],
    expected: list[tuple[torch.Tensor, torch.Tensor]],
    context: int,
) -> dict[str, Any]:
    """Read the same tokens with llama.cpp, and compare."""
    reader = Reader(path, context, adapter)
    furthest, agreed, largest, loss, count = 0.0, 0, 0.0, 0.0, 0
    for sequence, (logits, _) in zip(sequences, expected, strict=True):
        places = [n for n, target in enumerate(sequence.targets) if target != IGNORED]
        read = reader.logits(sequence.tokens, places)
        for place, got, want in zip(places, read, logits.numpy(), strict=True):
            loss += surprise(got, sequence.targets[place])
            count += 1
            furthest = max(furthest, float(np.abs(got - want).max()))
            largest = max(largest, float(np.abs(want).max()))
            agreed += int(got.argmax() == want.argmax())
    return {
        "megabytes": sum(p.stat().st_size for p in (path, adapter) if p) / 1e6,
        "perplexity": math.exp(loss / count),
        "tokens": count,
        "largest_difference": furthest,
        "largest_logit": largest,
        "same_first": agreed / count,
    }


def measure(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Write all files, and measure each."""
    base = find_base(options.base)
    conversations = list(read_conversations([options.data]))[: options.conversations]
    tokenizer = base.tokenizer()
    layout = layout_of(base.name, tokenizer, options.layout)
    sequences = render(conversations, layout, tokenizer, options.context).sequences
    model = base.model().eval()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        plain, adapter = folder / "base.gguf", None
        if options.adapter:
            export_model(model, base, plain, "base")
            adapter = folder / "adapter.gguf"
            export_adapter(options.adapter, base, adapter, "adapter")
            model = merged(model, options.adapter).eval()
        expected = list(reference(model, sequences))
        loss = sum(float(cross_entropy(*pair, reduction="sum")) for pair in expected)
        count = sum(len(targets) for _, targets in expected)
        export_model(model, base, folder / "F16.gguf", "model")
        files: dict[str, tuple[Path, Path | None]] = {"F16": (folder / "F16.gguf", None)}
        if adapter:
            files["F16 base, adapter over it"] = (plain, adapter)
            if base.gguf:
                files["the base as it came, adapter over it"] = (base.gguf, adapter)
        for kind in options.kinds:
            files[kind] = (folder / f"{kind}.gguf", None)
            quantise(folder / "F16.gguf", folder / f"{kind}.gguf", kind)
        found: dict[str, dict[str, Any]] = {
            "transformers, float32": {"perplexity": math.exp(loss / count), "tokens": count}
        }
        for name, (path, over) in files.items():
            found[name] = compare(path, over, sequences, expected, options.context)
    return found


def main() -> None:
    """Print the figures as a table and as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quantisation")
    parser.add_argument("base")
    parser.add_argument("data", type=Path)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--layout")
    parser.add_argument(
        "--kinds", nargs="+", default=["Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M"]
    )
    parser.add_argument("--conversations", type=int, default=1000)
    parser.add_argument("--context", type=int, default=8192)
    options = parser.parse_args()
    found = measure(options)
    table = Table("", "MB", "perplexity", "largest difference of a logit", "same likeliest token")
    for name, row in found.items():
        rest = (
            (
                f"{row['megabytes']:.0f}",
                f"{row['perplexity']:.3f}",
                f"{row['largest_difference']:.3f} of {row['largest_logit']:.1f}",
                f"{row['same_first']:.1%}",
            )
            if "megabytes" in row
            else ("", f"{row['perplexity']:.3f}", "", "")
        )
        table.add_row(name, *rest)
    Console().print(table)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
