"""The writer that needs documents alone: what it asks for is made up, and so are the answers.

Its requests name what a call takes and which fields of its answer are wanted, in the documents' own
words. That is no English to be proud of. What it teaches is to read functions that were never seen:
which one it is, what goes where, and where in an answer something stands.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jsonpointer import JsonPointer

from sandbox.call import ApiCall, call_line
from sandbox.names import name_words
from sandbox.response import ApiResponse, StatusCode
from sandbox.simulator.answer import leaves
from sandbox.simulator.made_up import MadeUp
from sandbox.tool import Api, Parameter, Tool
from sandbox.world import World
from trainer.instructions.draft import Draft, fact_of
from trainer.instructions.sample import Sample
from trainer.instructions.split import HeldOut
from trainer.instructions.writer import Written

NAME = "documents"
"""What drafts say of their writer."""

EACH = 4
"""Drafts of a sample."""

OPTIONAL = 0.2
"""How often an optional parameter is given."""

MOST_FACTS = 3
"""Fields that are asked for of one answer."""

_ORDINALS = ("first", "second", "third")
_JOINTS = (" ", " Also: ", " And another thing: ", "\n", " Besides: ")
_COMMAS = (", ", ", ", "; ", " and ")
_ABOUT = ("{}.", "{}.", "It's about this: {}.", "{}, please.", "My colleague wants this: {}.")
_GIVEN = ("{}.", "With {}.", "Take {}.", "What I have: {}.", "I have {}.", "({})")
_ASKED = ("I need {}.", "Tell me {}.", "What is {}?", "Could you find out {}?", "{}, please.")
_VALUES = ("the {0} is {1}", "{1} as the {0}", "{0} {1}", "{0}: {1}", "{1} ({0})", "{0} = {1}")
_OPENING = re.compile(
    r"(?:(?:this|the) (?:\w+ )?(?:endpoint|api|method|call|route)s? (?:will |can )?)?"
    r"(?:(?:allows?|lets?) you to |is used to )?"
    r"(?:gets?|returns?(?: back)?|retrieves?|fetch(?:es)?|provides?)?\b\s*",
    re.I,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s|[\n<]")


@dataclass(frozen=True)
class _Part:
    """A call with what is asked of it."""

    query: str
    call: ApiCall
    facts: list[dict[str, Any]]
    answer: str


class DocumentWriter:
    """Writes instructions from a world's documents.

    Args:
        world: answers the calls, where it is being simulated.
        unsolvable: share of drafts that nothing offered can answer: they ask for what a tool of
            another category does, of the same part of the split.
    """

    name = NAME
    each = EACH

    def __init__(self, world: World, unsolvable: float = 0) -> None:
        self._world = world
        self._unsolvable = unsolvable
        self._held_out = HeldOut.read(world.path)

    def write(self, sample: Sample) -> Written:
        """Write drafts over the APIs of a sample; fewer where documents do not say enough."""
        names = [f"{sample.seed}/{number}" for number in range(self.each)]
        return Written([draft for name in names if (draft := self._write(sample, name))])

    def _write(self, sample: Sample, name: str) -> Draft | None:
        if random.Random(f"{name}/solvable").random() < self._unsolvable:
            return self._write_unsolvable(sample, name)
        draw = random.Random(name)
        chosen = _choose(sample, draw)
        found = [self._ask(tool, api, f"{name}/{n}") for n, (tool, api) in enumerate(chosen)]
        parts = [part for part in found if part]
        if not parts or len(parts) < len(found):
            return None
        return Draft(
            draw.choice(_JOINTS).join(part.query for part in parts),
            [[part.call.tool, part.call.api] for part in parts],
            sample,
            NAME,
            [call_line(part.call) for part in parts],
            [fact for part in parts for fact in part.facts],
            " ".join(part.answer for part in parts),
        )

    def _write_unsolvable(self, sample: Sample, name: str) -> Draft | None:
        categories = {tool.category for tool, _ in sample.offered}
        part = self._held_out.part(sample.offered[0][0])
        others = [
            (tool, api)
            for tool in self._world.catalogue
            if tool.category not in categories and self._held_out.part(tool) == part
            for api in tool.api_list
        ]
        if not others:
            return None
        asked = self._ask(*random.Random(name).choice(others), f"{name}/0")
        return Draft(asked.query, [], sample, NAME, solvable=False) if asked else None

    def _ask(self, tool: Tool, api: Api, name: str) -> _Part | None:
        """Make a call up and ask for fields of its answer; None where it tells none."""
        draw = random.Random(name)
        arguments = _arguments(api, draw, MadeUp(name))
        if arguments is None:
            return None
        values = {parameter.name: value for parameter, value in arguments}
        call = ApiCall(tool.category, tool.name, api.name, values)
        response = self._world.session().call(call)
        asked = _fields(call, response, draw)
        if not asked:
            return None
        told = ", ".join(f"{field} is {fact['value']}" for field, fact in asked)
        return _Part(
            _query(api, arguments, list(dict(asked)), draw),
            call,
            [fact for _, fact in asked],
            f"The {told}.",
        )


def _choose(sample: Sample, draw: random.Random) -> Sequence[tuple[Tool, Api]]:
    """Choose one or two APIs; for I2 and I3, of two tools."""
    if sample.kind == "I1":
        return draw.sample(sample.offered, min(draw.choice((1, 1, 2)), len(sample.offered)))
    mixed = draw.sample(sample.offered, len(sample.offered))
    return list({tool.name: (tool, api) for tool, api in mixed}.values())[:2]


def _arguments(
    api: Api, draw: random.Random, made_up: MadeUp
) -> list[tuple[Parameter, Any]] | None:
    """Make arguments up; None where one is no scalar."""
    given = [
        *api.required_parameters,
        *(p for p in api.optional_parameters if draw.random() < OPTIONAL),
    ]
    if any(parameter.json_type in ("array", "object") for parameter in given):
        return None
    return list({p.name: (p, _argument(p, draw, made_up)) for p in given}.values())


def _argument(parameter: Parameter, draw: random.Random, made_up: MadeUp) -> Any:
    allowed = (parameter.model_extra or {}).get("enum")
    if isinstance(allowed, list) and allowed:
        return draw.choice(allowed)
    usual = parameter.default
    if parameter.json_type == "string" and isinstance(usual, str) and 0 < len(usual) < 40:
        return usual if draw.random() < 0.25 else made_up.value("string", parameter.name)
    return made_up.value(parameter.json_type, parameter.name)


def _fields(
    call: ApiCall, response: ApiResponse, draw: random.Random
) -> list[tuple[str, dict[str, Any]]]:
    """Choose fields of an answer, with the words for each."""
    if response.status_code != StatusCode.ANSWERED or not isinstance(response.body, dict):
        return []
    named: dict[str, dict[str, Any]] = {}
    for path, value in leaves(response.body):
        if value == "" or any(isinstance(n, int) and n >= len(_ORDINALS) for n in path):
            continue
        fact = fact_of(call, response, JsonPointer.from_parts(path).path)
        if fact:
            named.setdefault(_said_path(path), fact)
    count = min(draw.randint(1, MOST_FACTS), len(named))
    chosen = sorted(draw.sample(range(len(named)), count))
    return [list(named.items())[place] for place in chosen]


def _said_path(path: Sequence[str | int]) -> str:
    """Say where a field stands: `total`, or `name of the second item`."""
    *owners, last = [step for step in path if isinstance(step, str)]
    said = " ".join(name_words(last)) or last
    if not owners:
        return said
    places = [_ORDINALS[step] + " " for step in path if isinstance(step, int)][-1:]
    return f"{said} of the {''.join(places)}{' '.join(name_words(owners[-1])) or owners[-1]}"


def _query(
    api: Api,
    arguments: Sequence[tuple[Parameter, Any]],
    asked: Sequence[str],
    draw: random.Random,
) -> str:
    """Word a request: what it is about, what is given and what is asked for, in any order."""
    given = [_said(parameter, value, draw) for parameter, value in arguments]
    draw.shuffle(given)
    wanted = "the " + (f"{', '.join(asked[:-1])} and {asked[-1]}" if asked[1:] else asked[0])
    sentences = [
        draw.choice(_ABOUT).format(_about(api, draw)),
        *([draw.choice(_GIVEN).format(draw.choice(_COMMAS).join(given))] if given else []),
        draw.choice(_ASKED).format(wanted),
    ]
    draw.shuffle(sentences)
    return " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences)


def _said(parameter: Parameter, value: Any, draw: random.Random) -> str:
    """Say an argument: by the parameter's name, by what its document says of it, or bare."""
    about = " ".join((parameter.description or "").split()).strip(" .")
    said = str(value).lower() if isinstance(value, bool) else str(value)
    if " " in said and draw.random() < 0.6:
        said = draw.choice(("“{}”", "'{}'")).format(said)
    way = draw.random()
    if way < 0.15 and isinstance(value, str):
        return said
    if way < 0.4 and 1 < len(about.split()) < 7:
        return f"{about.lower()}: {said}"
    return draw.choice(_VALUES).format(" ".join(name_words(parameter.name)) or parameter.name, said)


def _about(api: Api, draw: random.Random) -> str:
    """Say what an API does: its document's first sentence if that is short, or its name's words."""
    sentence = _SENTENCE_END.split((api.description or "").strip())[0].strip(" .#*`")
    short = _OPENING.sub("", sentence, count=1)
    name = " ".join(name_words(api.name)) or api.name
    return short if 1 < len(short.split()) < 19 and draw.random() < 0.75 else name
