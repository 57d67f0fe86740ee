"""A model in process: tokens per second by threads, by contexts, and by decoding in batches.

The requests are the first prompts of the demo's instructions, read whole and answered by a call.
Batched decoding writes one token for several prompts at a time; it counts only if the weights of
the next tokens are the same bytes as those of each prompt alone.

    python -m benchmarks.local_model [--model SPEC] [--prompts 8] [--rounds 2] [--json FILE]
"""

import argparse
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from sandbox.chat import Completion, CompletionRequest, Sampling
from sandbox.llama.context import FLASH_ATTENTION_OFF, llama
from sandbox.llama.files import ModelSpec
from sandbox.llama.model import LlamaModel
from sandbox.llama.prefix import CHUNK
from sandbox.llama.weights import Weights
from sandbox.world import World
from solver import prompts
from solver.environment import Environment
from toolreplay.demo import demo_world
from toolreplay.solving import read_queries

WIDTHS = (1, 2, 4, 8)
STEPS = 24
BEGINNING = 128
"""Tokens of each prompt that batched decoding goes on from."""


def requests(count: int, max_tokens: int) -> list[CompletionRequest]:
    """Give the first request of so many of the demo's instructions."""
    world, found = World(demo_world()), []
    for instruction in read_queries([world.path / "instructions"])[:count]:
        names = ("tool_name", "api_name", "category_name")
        apis = [world.catalogue.find(*(e[n] for n in names)) for e in instruction.api_list]
        offered = Environment([api for api in apis if api], world.session())
        asked = prompts.opening(instruction.query, offered.tools)
        sampling = Sampling(max_tokens=max_tokens)
        found.append(CompletionRequest(asked, offered.functions, sampling, instruction.id))
    return found


def answer(
    spec: ModelSpec, asked: list[CompletionRequest], workers: int, threads: int
) -> tuple[float, list[Completion]]:
    """Answer all requests; gives tokens a second (read and written), and the answers."""
    model = LlamaModel(
        spec.path, spec.adapter, spec.layout, workers=workers, threads=threads, reuse=False
    )
    model.complete(CompletionRequest([{"role": "user", "content": "?"}], [], Sampling()))
    before = model.speed().work
    started = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        answers = list(pool.map(model.complete, asked))
    seconds = time.perf_counter() - started
    work = model.speed().work
    model.close()
    tokens = work.read_tokens + work.written_tokens - before.read_tokens - before.written_tokens
    return tokens / seconds, answers


class Batches:
    """Writes for several prompts at a time, each in a lane of its own."""

    def __init__(self, weights: Weights, prompts: list[list[int]], threads: int) -> None:
        params = llama.llama_context_default_params()
        params.n_ctx, params.n_seq_max = 1024 * len(prompts), len(prompts)
        params.kv_unified, params.swa_full = False, True
        params.n_batch = params.n_ubatch = CHUNK
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = FLASH_ATTENTION_OFF
        self._context: Any = llama.llama_init_from_model(weights.model, params)
        self._batch = llama.llama_batch_init(CHUNK, 0, 1)
        self._size = weights.vocabulary_size
        self._prompts = prompts

    def read(self) -> None:
        """Read all prompts, one after the other."""
        llama.llama_memory_clear(llama.llama_get_memory(self._context), True)
        for lane, tokens in enumerate(self._prompts):
            for begin in range(0, len(tokens), CHUNK):
                part = tokens[begin : begin + CHUNK]
                self._decode([(t, begin + i, lane) for i, t in enumerate(part)])

    def write(self, step: int, lanes: list[int]) -> list[bytes]:
        """Write one token in each of some lanes; gives the weights of what comes next."""
        self._decode([(1000 + step, len(self._prompts[n]) + step, n) for n in lanes])
        found = []
        for place in range(len(lanes)):
            raw = llama.llama_get_logits_ith(self._context, place)
            found.append(np.ctypeslib.as_array(raw, (self._size,)).tobytes())
        return found

    def close(self) -> None:
        """Give the memory back."""
        llama.llama_batch_free(self._batch)
        llama.llama_free(self._context)

    def _decode(self, tokens: list[tuple[int, int, int]]) -> None:
        batch = self._batch
        batch.n_tokens = len(tokens)
        for place, (token, position, lane) in enumerate(tokens):
            batch.token[place], batch.pos[place] = token, position
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, lane
            batch.logits[place] = True
        assert llama.llama_decode(self._context, batch) == 0


def batched(weights: Weights, prompts: list[list[int]], threads: int) -> list[dict[str, Any]]:
    """Measure tokens written a second by how many prompts go into a batch."""
    batches, rows = Batches(weights, prompts, threads), []
    batches.read()
    alone = [[batches.write(step, [n])[0] for step in range(2)] for n in range(len(prompts))]
    for width in WIDTHS:
        batches.read()
        lanes = list(range(width))
        firsts = [batches.write(step, lanes) for step in range(2)]
        same = all(firsts[step][n] == alone[n][step] for step in range(2) for n in lanes)
        started = time.perf_counter()
        for step in range(2, 2 + STEPS):
            batches.write(step, lanes)
        seconds = time.perf_counter() - started
        rows.append(
            {"threads": threads, "width": width, "rate": width * STEPS / seconds, "same": same}
        )
    batches.close()
    return rows


def main() -> None:
    """Measure all, the best of some rounds each, print the tables, and write JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.local_model")
    parser.add_argument("--model", default="gemma-3-270m-q4_k_m")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--max-tokens", type=int, default=40)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    spec, cores = ModelSpec.parse(options.model), len(os.sched_getaffinity(0))
    asked = requests(max(options.prompts, max(WIDTHS)), options.max_tokens)
    ways = sorted({(1, 1), (1, cores), (cores, cores)})
    rates, answers = dict.fromkeys(ways, 0.0), []
    for _ in range(options.rounds):
        for way in ways:
            rate, answered = answer(spec, asked[: options.prompts], *way)
            rates[way] = max(rates[way], rate)
            answers.append(answered)
    same = all(answered == answers[0] for answered in answers)
    table = Table(title=f"Answers: {options.prompts} requests, the same bytes: {same}")
    for heading in ("Contexts", "Threads each", "Tokens a second"):
        table.add_column(heading, justify="right")
    for (contexts, threads), rate in rates.items():
        table.add_row(str(contexts), str(threads // contexts), f"{rate:.0f}")
    Console().print(table)
    model = LlamaModel(spec.path, spec.adapter, spec.layout)
    tokens = [model.prompt(request)[:BEGINNING] for request in asked[: max(WIDTHS)]]
    model.close()
    weights = Weights(spec.path)
    rows = [row for threads in sorted({1, cores}) for row in batched(weights, tokens, threads)]
    table = Table(title="Batched decoding")
    for heading in ("Threads", "Prompts at once", "Tokens written a second", "Same bytes as alone"):
        table.add_column(heading, justify="right")
    for row in rows:
        cells = (str(row["threads"]), str(row["width"]), f"{row['rate']:.0f}", str(row["same"]))
        table.add_row(*cells)
    Console().print(table)
    if options.json:
        found = {
            "answers": [
                {"contexts": c, "threads": t // c, "rate": r} for (c, t), r in rates.items()
            ],
            "same_bytes": same,
            "batched": rows,
        }
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
