"""The report: one page with the figures and every search, that needs no network and no server.

Text from answers is never markup: tables are escaped by Jinja, and the page's own script, the only
one that its content security policy lets run, writes text as text.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from eval.case import Cases
from eval.contest import Contest
from eval.drawing import draw
from eval.evaluation import Evaluation
from eval.judged import JudgedCase
from eval.parting import parting
from eval.verdict import final_answer
from sandbox.disk import write_whole
from sandbox.response import StatusCode

CODES = {int(code): code.name.lower().replace("_", " ") for code in StatusCode}
"""ToolBench's status codes in words."""


@dataclass(frozen=True)
class Side:
    """One run in a report.

    Attributes:
        cases: its answers.
        evaluation: its verdicts.
    """

    cases: Cases
    evaluation: Evaluation

    @property
    def title(self) -> str:
        """What the run is called: its folder's name, model and method."""
        return f"{self.cases.path.name}: {self.cases.model}, {self.cases.method}"


def write_report(
    path: Path, side: Side, other: Side | None = None, contest: Contest | None = None
) -> None:
    """Write a report.

    Args:
        path: the file.
        side: the judged run.
        other: a run to show beside it.
        contest: how the one does against the other.
    """
    script, style = _part("report.js"), _part("report.css")
    sides = [side, other] if other else [side]
    page = _environment().get_template("report.html")
    data = {
        "sides": [s.title for s in sides],
        "codes": CODES,
        "instructions": list(_instructions(side, other, contest)),
    }
    text = page.render(
        sides=sides,
        contest=contest,
        agreements=side.evaluation.agreements,
        data=Markup(_json(data)),  # nosec B704 # _json escapes what HTML reads
        script=Markup(script),  # nosec B704 # our own file
        style=Markup(style),  # nosec B704 # our own file
        script_hash=_hash(script),
        style_hash=_hash(style),
    )
    write_whole(path, text.encode("utf-8", "replace").decode("utf-8"))


def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(_part),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.1f}%"
    return environment


def _part(name: str) -> str:
    return (files("eval") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(data: Any) -> str:
    """Write JSON that can stand in a script element whatever it holds."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _instructions(
    side: Side, other: Side | None, contest: Contest | None
) -> Iterator[dict[str, Any]]:
    preferences = {p.instruction: p for p in contest.preferences} if contest else {}
    for case in side.cases:
        instruction = case.instruction
        shown: dict[str, Any] = {
            "id": instruction.id,
            "set": instruction.set_name,
            "query": instruction.query,
            "facts": [str(fact.value) for fact in instruction.facts],
            "solvable": instruction.solvable,
            "sides": [_side(case.answer, side.evaluation.judged[instruction.id])],
        }
        if other is not None and instruction.id in other.cases:
            beside = other.cases.read(instruction.id)
            judged = other.evaluation.judged[instruction.id]
            shown["sides"].append(_side(beside.answer, judged))
            parted = parting(case.answer, beside.answer)
            shown["parting"] = parted.to_json() if parted else None
        if instruction.id in preferences:
            shown["preference"] = preferences[instruction.id].to_json()
        yield shown


def _side(answer: dict[str, Any], judged: JudgedCase) -> dict[str, Any]:
    chains = answer["compare_candidates"]
    verdict = judged.verdict
    return {
        "tree": draw(answer),
        "answer": final_answer(chains[0] if chains else []),
        "passed": verdict.passed,
        "grounded": verdict.grounded if verdict.checked else None,
        "missing": list(verdict.missing),
        "judges": {name: opinion.to_json() for name, opinion in judged.opinions.items()},
        "calls": dict(judged.provenance),
        "modelCalls": judged.model_calls,
        "tokens": judged.tokens,
    }
