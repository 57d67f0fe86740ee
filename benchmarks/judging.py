"""Judging 765 converted answers from recorded verdicts, beside a plain loop.

The answers are those of the demo (or of --source), repeated to the sizes of StableToolBench's six
sets, each with a query of its own. A stand-in judge's three votes on each are recorded first; what
is timed is everything after that, in a process of its own: reading answers and verdicts, judging,
rates, and writing the verdicts. The loop has the same verdicts in one JSON file and does the least
that gives the same counts; "saving each" writes its label file after every verdict, as
StableToolBench's eval_pass_rate.py does, so that a stopped judging goes on.

    python -m benchmarks.judging [--times 1 10] [--source DIR] [--json FILE]
"""

import argparse
import copy
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from eval.case import Cases
from eval.evaluation import evaluate
from eval.judge import ModelJudge
from sandbox.chat import Completion, CompletionRequest
from sandbox.completions import CompletionTape
from sandbox.recorded_model import RecordedModel, RecordingModel

SETS = {
    "G1_instruction": 163,
    "G1_category": 153,
    "G1_tool": 158,
    "G2_instruction": 106,
    "G2_category": 124,
    "G3_instruction": 61,
}
"""Solvable queries per set, as StableToolBench publishes them: 765."""

VOTES = 3
WAYS = ("toolreplay", "loop", "loop, saving each")


class Oracle:
    """A judge that needs no model: every third answer is unsolved."""

    name = "oracle"

    def complete(self, request: CompletionRequest) -> Completion:
        """Answer with a verdict and a reason of an ordinary length."""
        status = "unsolved" if hash_of(request.instruction) % 3 == 0 else "solved"
        said = {"reason": "The answer gives what was asked for. " * 4, "verdict": status}
        return Completion(json.dumps(said))


def hash_of(name: str) -> int:
    """Give the number in an instruction's id."""
    return int(name.rpartition("/")[2])


def prepare(folder: Path, source: Path, times: int) -> None:
    """Write converted answers, the tape of verdicts on them, and the same verdicts for the loop."""
    found = [case.converted for case in Cases(source)]
    number = 0
    for name, size in SETS.items():
        answers: dict[str, Any] = {}
        for _ in range(size * times):
            answer = copy.copy(found[number % len(found)])
            answers[str(number)] = {**answer, "query": f"{answer['query']} ({number})"}
            number += 1
        (folder / "converted").mkdir(exist_ok=True)
        (folder / "converted" / f"{name}.json").write_text(json.dumps(answers))
    tape = CompletionTape(folder / "completions")
    judge = ModelJudge(RecordingModel(Oracle(), tape), VOTES)
    verdicts: dict[str, list[str]] = {}
    for case in Cases(folder / "converted"):
        poll = judge.status(case)
        verdicts[str(case.instruction.query_id)] = [vote.label for vote in poll.votes]
    tape.tidy()
    (folder / "verdicts.json").write_text(json.dumps(verdicts))


def judge_all(folder: Path) -> dict[str, int]:
    """Judge by toolreplay; gives the answers by status."""
    judge = ModelJudge(RecordedModel(CompletionTape(folder / "completions")), VOTES)
    evaluation = evaluate(folder / "converted", [judge], into=folder / "out")
    return evaluation.settings[-1].judged[0].statuses


def loop_all(folder: Path, save_each: bool) -> dict[str, int]:
    """Judge by a plain loop; gives the answers by status."""
    verdicts = json.loads((folder / "verdicts.json").read_text())
    counts: dict[str, int] = {}
    for name in SETS:
        labels: dict[str, Any] = {}
        file = folder / f"{name}_labels.json"
        answers = json.loads((folder / "converted" / f"{name}.json").read_text())
        for query_id, answer in answers.items():
            steps = list(steps_in_words(answer["answer"]["answer_details"][0]))
            labels[query_id] = {
                "query": answer["query"],
                "tool_names": [tool["name"] for tool in answer["available_tools"]],
                "answer_steps": "\n".join(steps),
                "final_step": steps[-1] if steps else "",
                "is_solved": {},
            }
            for vote, label in enumerate(verdicts[query_id]):
                labels[query_id]["is_solved"][vote] = label
                if save_each:
                    file.write_text(json.dumps(labels, indent=4))
            status = max(set(verdicts[query_id]), key=verdicts[query_id].count)
            counts[status] = counts.get(status, 0) + 1
        file.write_text(json.dumps(labels, indent=4))
    return counts


def steps_in_words(node: dict[str, Any]) -> Iterator[str]:
    """Write the calls of a path as StableToolBench's label files show them."""
    while node["next"]:
        node = node["next"][0]
        if node["role"] == "tool":
            yield str(node["message"])


def measure_here(way: str, folder: Path) -> dict[str, Any]:
    """Time one way in this process, whose peak of memory is its own."""
    started, cpu = time.perf_counter(), time.process_time()
    counts = judge_all(folder) if way == "toolreplay" else loop_all(folder, "saving" in way)
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "megabytes": peak_memory(),
        "counts": counts,
    }


def peak_memory() -> float:
    """Give this program's peak resident memory in MiB (Linux; its own, not its parent's)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def measure(way: str, folder: Path, repeats: int = 3) -> dict[str, Any]:
    """Time one way in processes of their own, and take the best."""
    command = [sys.executable, "-m", "benchmarks.judging", "--way", way, "--folder", str(folder)]
    runs = [json.loads(subprocess.check_output(command, text=True)) for _ in range(repeats)]
    return min(runs, key=lambda run: float(run["seconds"]))


def main() -> None:
    """Measure all ways, print the table, and write JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judging")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--source", type=Path, help="a run or a folder of answers to repeat")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure_here(options.way, options.folder)))
        return
    rows = []
    for times in options.times:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prepare(folder, options.source or demo_run(folder / "demo"), times)
            megabytes = sum(f.stat().st_size for f in (folder / "converted").iterdir()) / 2**20
            for way in WAYS if times == 1 else WAYS[:2]:
                row = measure(way, folder)
                rows.append({"answers": 765 * times, "input": megabytes, "way": way, **row})
        assert len({json.dumps(row["counts"], sort_keys=True) for row in rows[-2:]}) == 1
    table = Table(title=f"Judging converted answers from recorded verdicts, {VOTES} votes each")
    for heading in (
        "Answers",
        "Input, MiB",
        "",
        "Seconds",
        "CPU seconds",
        "Answers/s",
        "Peak memory, MiB",
    ):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            f"{row['answers']:,}",
            f"{row['input']:.1f}",
            row["way"],
            f"{row['seconds']:.2f}",
            f"{row['cpu_seconds']:.2f}",
            f"{row['answers'] / row['seconds']:,.0f}",
            f"{row['megabytes']:.0f}",
        )
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def demo_run(out: Path) -> Path:
    """Make the demo's DFSDT run."""
    from toolreplay.demo import run_demo

    run_demo(out, 2, lambda method, total: None)
    return out / "dfsdt"


if __name__ == "__main__":
    main()
