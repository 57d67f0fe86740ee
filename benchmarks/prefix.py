"""Shared prefixes: what a search reads of its prompts, with and without reuse.

The searches are real ones: the trees that ChatGPT made for ToolBench are replayed, and every prompt
that DFSDT asks on the way is put to the model, in that order; so are those of the demo world's own
recorded runs. Tokens are counted for all of them by the same bookkeeping that decides what the
model reads (`sandbox.llama.prefix`), without computing. Then some trees are computed, with and
without reuse, in turns; time and counts are compared, and the completions must be the same bytes.

    python -m benchmarks.prefix [--trees DIR] [--model SPEC] [--compute N] [--json FILE]
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sandbox.chat import ChatModel, Completion, CompletionRequest
from sandbox.importers.toolbench import import_toolbench
from sandbox.llama.files import ModelSpec
from sandbox.llama.model import LlamaModel
from sandbox.llama.prefix import PrefixCache
from sandbox.recorded_model import RecordedModel
from sandbox.world import World
from solver.method import Method
from solver.run import Run, Settings
from toolreplay.demo import DEMO_DRAWING, DEMO_LIMITS, DEMO_METHODS, DEMO_MODE, demo_world
from toolreplay.modes import Mode, answering
from toolreplay.solving import read_queries

Search = list[CompletionRequest]


class Listening:
    """Answers as another model does, and keeps what was asked."""

    def __init__(self, model: ChatModel) -> None:
        self.name = model.name
        self.asked: Search = []
        self._model = model

    def complete(self, request: CompletionRequest) -> Completion:
        """Keep the request, and hand it on."""
        self.asked.append(request)
        return self._model.complete(request)


@dataclass
class Reading:
    """What was read of the prompts of some searches.

    Attributes:
        prompts: how many there are.
        tokens: what they are long together.
        distinct: nodes of their trie: what any reader must read.
        read: what was read.
        too_long: prompts that do not fit into the context, and are not read at all.
    """

    prompts: int = 0
    tokens: int = 0
    distinct: int = 0
    read: int = 0
    too_long: int = 0

    def row(self, name: str) -> dict[str, Any]:
        """Give the figures by name."""
        return {
            "searches": name,
            "prompts": self.prompts,
            "too_long": self.too_long,
            "tokens": self.tokens,
            "distinct": self.distinct,
            "read": self.read,
            "without_reuse": self.tokens / self.distinct,
            "with_reuse": self.read / self.distinct,
        }


def searches_of(world: World, queries: Path, settings: Settings, mode: Mode) -> list[Search]:
    """Search again with a world's recorded completions, and give what each search asked."""
    found = []
    with answering(world, mode):
        for instruction in read_queries([queries]):
            model = Listening(RecordedModel(world.completions))
            with tempfile.TemporaryDirectory() as out:
                list(Run(Path(out), world, model, settings).solve([instruction]))
            found.append(model.asked)
    return found


def count(model: LlamaModel, searches: Iterable[Search]) -> Reading:
    """Count what one context reads of some searches, one after the other, without computing."""
    reading, cache = Reading(), PrefixCache(model.lanes)
    trie: dict[tuple[int, int], int] = {}
    for request in (request for search in searches for request in search):
        tokens = model.prompt(request)
        if not model.fits(tokens, request.sampling):
            reading.too_long += 1
            continue
        reading.prompts += 1
        reading.tokens += len(tokens)
        reading.read += len(tokens) - cache.plan(tokens, request.instruction).reused
        node = 0
        for token in tokens:
            node = trie.setdefault((node, token), len(trie) + 1)
    reading.distinct = len(trie)
    return reading


def compute(
    model: LlamaModel, searches: Sequence[Search], max_tokens: int
) -> tuple[float, list[Completion]]:
    """Ask all that some searches asked; gives the seconds and the answers."""
    started = time.perf_counter()
    answers = [
        model.complete(replace(r, sampling=replace(r.sampling, max_tokens=max_tokens)))
        for search in searches
        for r in search
    ]
    return time.perf_counter() - started, answers


def compare(
    spec: ModelSpec, searches: Sequence[Search], max_tokens: int, threads: int | None
) -> dict[str, Any]:
    """Compute some searches with and without reuse."""
    found: dict[str, Any] = {"prompts": sum(map(len, searches)), "max_tokens": max_tokens}
    answers = []
    for reuse in (True, False):
        model = LlamaModel(spec.path, spec.adapter, spec.layout, threads=threads, reuse=reuse)
        seconds, answered = compute(model, searches, max_tokens)
        answers.append(answered)
        work = model.speed().work
        found["reuse" if reuse else "no_reuse"] = {
            "seconds": seconds,
            "read": work.read_tokens,
            "written": work.written_tokens,
        }
        if reuse:
            found["counted"] = count(model, searches).read
        model.close()
    found["same_bytes"] = answers[0] == answers[1]
    return found


def main() -> None:
    """Count all, compute some, print the tables, and write JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prefix")
    parser.add_argument("--trees", type=Path, default=Path("../shared/toolbench/answers"))
    parser.add_argument("--model", default="gemma-3-270m-q4_k_m")
    parser.add_argument("--compute", type=int, default=3, help="How many of the shortest trees.")
    parser.add_argument("--max-tokens", type=int, default=24)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    spec = ModelSpec.parse(options.model)
    model = LlamaModel(spec.path, spec.adapter, spec.layout)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        import_toolbench(options.trees, Path(folder))
        world = World(Path(folder))
        trees = searches_of(world, world.path / "instructions", Settings(None), "replay")
    rows += [count(model, [tree]).row(tree[0].instruction) for tree in trees]
    rows.append(count(model, trees).row(f"all {len(trees)} trees"))
    demo = World(demo_world())
    for name in DEMO_METHODS:
        settings = Settings(Method.parse(name, DEMO_LIMITS), DEMO_DRAWING)
        runs = searches_of(demo, demo.path / "instructions", settings, DEMO_MODE)
        rows.append(count(model, runs).row(f"demo, {name}"))
    model.close()
    show_counts(rows)
    shortest = sorted(trees, key=lambda tree: sum(len(str(r.messages)) for r in tree))
    timed = compare(spec, shortest[: options.compute], options.max_tokens, options.threads)
    show_times(timed)
    if options.json:
        options.json.write_text(json.dumps({"counts": rows, "times": timed}, indent=1) + "\n")


def show_counts(rows: list[dict[str, Any]]) -> None:
    """Print what is read."""
    table = Table(title="Prompt tokens: read, over distinct ones")
    for heading in ("Searches", "Prompts", "Too long", "Distinct", "Without reuse", "With reuse"):
        table.add_column(heading, justify="left" if heading == "Searches" else "right")
    for row in rows:
        counts = (f"{row[name]:,}" for name in ("prompts", "too_long", "distinct"))
        ratios = (f"{row[name]:.3f}" for name in ("without_reuse", "with_reuse"))
        table.add_row(row["searches"], *counts, *ratios)
    Console().print(table)


def show_times(timed: dict[str, Any]) -> None:
    """Print what reuse saves."""
    table = Table(title=f"{timed['prompts']} prompts computed, same bytes: {timed['same_bytes']}")
    for heading in ("", "Seconds", "Tokens read", "Tokens written"):
        table.add_column(heading, justify="right")
    for name in ("reuse", "no_reuse"):
        row = timed[name]
        counts = (f"{row[field]:,}" for field in ("read", "written"))
        table.add_row(name.replace("_", " "), f"{row['seconds']:.1f}", *counts)
    Console().print(table)


if __name__ == "__main__":
    main()
