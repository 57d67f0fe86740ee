"""The paper's comparison on one world: given APIs and retrieved ones, by ReACT and by DFSDT.

Every instruction is solved four times by the same model. Beside the rates stands what the model
could call at all: the share of the relevant APIs that were offered. The world is copied into --out
first, so its own tapes stay as they are; what was stopped goes on with the same command.

    python -m benchmarks.open_domain --model llama:FILE.gguf [--retriever DIR] [-k 5]
        [--world cassettes/demo] [--out runs/open] [--first N] [--max-calls 16] [--max-tokens 256]
        [--workers 1] [--base-url URL] [--json FILE]
"""

import argparse
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from eval.evaluation import Evaluation, Setting, evaluate
from sandbox.instruction import Instruction
from sandbox.names import standardise
from sandbox.world import World
from solver.method import Method
from solver.retriever import open_retriever
from solver.run import Settings
from solver.search import Drawing, Limits
from toolreplay.solving import read_queries, solve
from toolreplay.tables import method_title

METHODS = ("react", "dfsdt")


@dataclass(frozen=True)
class Line:
    """One run.

    Attributes:
        apis: given or retrieved.
        evaluation: its figures.
        offered: share of the relevant APIs that were offered, over all instructions.
    """

    apis: str
    evaluation: Evaluation
    offered: float

    def to_json(self) -> dict[str, Any]:
        """Give rates with intervals, and what was offered."""
        return {"apis": self.apis, "offered": self.offered, **self.evaluation.to_json()}


def offered(instructions: list[Instruction], run: Path) -> float:
    """Give the share of the relevant APIs that a run offered, the mean over its instructions."""
    asked = {
        f"{i['set']}/{i['query_id']}": i
        for i in json.loads((run / "instructions.json").read_bytes())
    }
    shares = []
    for instruction in instructions:
        entries = asked[instruction.id].get("api_list", instruction.api_list)
        names = {(standardise(e["tool_name"]), standardise(e["api_name"])) for e in entries}
        wanted = {(standardise(n[-2]), standardise(n[-1])) for n in instruction.relevant_apis}
        if wanted:
            shares.append(len(wanted & names) / len(wanted))
    return sum(shares) / max(1, len(shares))


def compare(given: argparse.Namespace) -> list[Line]:
    """Solve the world's instructions in all four ways, and judge them by rule."""
    copy = given.out / "world"
    if not copy.exists():
        ignore = shutil.ignore_patterns("world.db*", "retrieval", ".*.lock", "*.lock")
        shutil.copytree(given.world, copy, ignore=ignore)
    world = World(copy)
    retriever, _ = open_retriever(world, given.retriever)
    queries = [world.path / "instructions"]
    instructions = read_queries(queries)[: given.first]
    limits = Limits(depth=given.depth, width=2, model_calls=given.max_calls)
    drawing = Drawing(max_tokens=given.max_tokens)
    lines = []
    for method in METHODS:
        for apis, chooser in (("given", None), ("retrieved", retriever)):
            run = given.out / f"{method}-{apis}"
            solving = solve(
                queries,
                world,
                run,
                given.model,
                workers=given.workers,
                settings=Settings(Method.parse(method, limits), drawing),
                base_url=given.base_url,
                first=given.first,
                retriever=chooser,
                retrieve=given.k,
            )
            for _ in track(solving, f"{method}, {apis} APIs", total=len(instructions)):
                pass
            lines.append(Line(apis, evaluate(run), offered(instructions, run)))
    return lines


def table_of(lines: list[Line]) -> Table:
    """Show the runs: a line each, pass rate and below it grounded rate per setting, in percent."""
    table = Table(
        title=f"{lines[0].evaluation.model}: pass rate / grounded rate, with 95% intervals"
    )
    for heading in ("Method", "APIs", "Relevant APIs\noffered"):
        table.add_column(heading)
    for setting in lines[0].evaluation.settings:
        table.add_column(f"{setting.name}\n({setting.passed.total})", justify="right")
    for line in lines:
        cells = [_cell(setting) for setting in line.evaluation.settings]
        method = method_title(line.evaluation.method)
        table.add_row(method, line.apis, f"{line.offered:.1%}", *cells, end_section=True)
    return table


def _cell(setting: Setting) -> str:
    rows = []
    for rate in (setting.passed, setting.grounded):
        low, high = rate.interval()
        rows.append(f"{100 * rate.value:.1f} [{100 * low:.0f}-{100 * high:.0f}]")
    return "\n".join(rows)


def main() -> None:
    """Run, print the table, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--world", type=Path, default=Path("cassettes/demo"))
    parser.add_argument("--out", type=Path, default=Path("runs/open"))
    parser.add_argument("--retriever", type=Path)
    parser.add_argument("-k", type=int, default=5)
    parser.add_argument("--first", type=int)
    parser.add_argument("--depth", type=int, default=12)
    parser.add_argument("--max-calls", type=int, default=16)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--base-url")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    lines = compare(given)
    Console(width=160).print(table_of(lines))
    if given.json:
        result = [line.to_json() for line in lines]
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
