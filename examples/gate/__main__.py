"""Run the agent over all questions, offline, and write its answers for `toolreplay compare`.

python -m examples.gate --out runs/new
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import httpx

from eval.conversion import assemble, dump
from examples.gate.agent import answer
from sandbox.world import World

HERE = Path(__file__).parent
ADDRESS = "https://public-holidays.p.rapidapi.example/v1"
TOOLS = [{"name": name} for name in ("is_holiday", "holidays_of_a_year")]


def main() -> None:
    """Ask each question inside the world, and keep every step."""
    parser = argparse.ArgumentParser(prog="python -m examples.gate")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--world", type=Path, default=Path("cassettes/demo"))
    options = parser.parse_args()
    answers = {}
    with World(options.world).intercept():
        for asked in json.loads((HERE / "questions.json").read_text()):
            steps: list[tuple[str, Any]] = []

            def call_tool(name: str, path: str, steps: list[tuple[str, Any]] = steps) -> str:
                response = httpx.get(f"{ADDRESS}/{path}").text
                message = {"name": name, "arguments": path, "response": response}
                steps.append(("tool", message))
                return response

            told = answer(asked["query"], call_tool)
            answers[str(asked["query_id"])] = assemble(asked["query"], TOOLS, steps, told, "rules")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "holidays.json").write_text(dump(answers))
    shutil.copy(HERE / "questions.json", options.out / "instructions.json")
    print(f"{len(answers)} answers in {options.out}")


if __name__ == "__main__":
    main()
