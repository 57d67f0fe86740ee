"""The writer that needs no model: requests from phrasings, arguments from recorded calls.

Each request is made of one to three phrasings whose APIs were all sampled. Its calls are made in
the world, so the facts and the right answer come out of real responses. Some requests ask for what
nothing that is offered can tell: there the right thing to do is to give up.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jsonpointer import JsonPointerException, resolve_pointer

from sandbox.call import ApiCall, call_line
from sandbox.errors import UnrecordedCall
from sandbox.names import standardise
from sandbox.response import ApiResponse, StatusCode
from sandbox.world import World
from trainer.instructions.draft import Draft, fact_of, text_of
from trainer.instructions.phrasing import (
    PART,
    RETURNED,
    SLOT,
    PhrasedCall,
    Phrasing,
    Phrasings,
    read_phrasings,
)
from trainer.instructions.sample import Sample
from trainer.instructions.writer import Written

NAME = "phrasings"
"""What drafts say of their writer."""

MOST_CALLS = 4
"""Calls of one request."""

UNSOLVABLE = 0.08
"""Share of requests that nothing offered can answer, where no other is asked for."""

_JOINTS = (" ", " ", " Also, ", " And another thing: ", "\n", " Besides: ", " Then, ", " Plus: ")


@dataclass(frozen=True)
class _Way:
    """A phrasing with the tool that it is of."""

    tool: Phrasings
    phrasing: Phrasing

    @cached_property
    def apis(self) -> set[tuple[str, str]]:
        return {(self.owner(call)[1], standardise(call.api)) for call in self.phrasing.calls}

    def owner(self, call: PhrasedCall) -> tuple[str, str]:
        category, tool = call.category or self.tool.category, call.tool or self.tool.tool
        return standardise(category), standardise(tool)


@dataclass(frozen=True)
class _Part:
    """A phrasing that was filled, with what it brings to the request."""

    query: str
    calls: list[ApiCall]
    facts: list[dict[str, Any]]
    answer: str


class PhrasingWriter:
    """Writes instructions from the phrasings of a world.

    Args:
        world: answers the calls: from its recordings, or live where it is recording.
        each: drafts for a sample.
        unsolvable: share of drafts that nothing offered can answer.

    Raises:
        BadInput: the world has no phrasings, or they cannot be read.
    """

    name = NAME

    def __init__(self, world: World, each: int = 2, unsolvable: float = UNSOLVABLE) -> None:
        self._world = world
        self.each = each
        self._unsolvable = unsolvable
        self._ways = [
            _Way(tool, phrasing)
            for tool in read_phrasings(world.path)
            for phrasing in tool.phrasings
        ]
        self._recorded: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def write(self, sample: Sample) -> Written:
        """Write drafts over the APIs of a sample; fewer where phrasings or answers are lacking."""
        offered = {(standardise(t.name), standardise(a.name)) for t, a in sample.offered}
        able = [way for way in self._ways if way.apis <= offered]
        tools = {standardise(tool.name) for tool, _ in sample.offered}
        unable = [way for way in self._ways if not {tool for tool, _ in way.apis} & tools]
        drafts: list[Draft] = []
        for number in range(self.each):
            draw = random.Random(f"{sample.seed}/{number}")
            if unable and draw.random() < self._unsolvable:
                drafts += self._write_unsolvable(sample, unable, draw)
            elif able:
                drafts += self._write(sample, able, draw)
        return Written(drafts)

    def _write(self, sample: Sample, able: Sequence[_Way], draw: random.Random) -> list[Draft]:
        chosen = self._choose(sample.kind, able, draw)
        shared: dict[str, Any] = {}
        parts = [part for way in chosen if (part := self._fill(way, shared, draw))]
        if len(parts) < len(chosen):
            return []
        calls = [call for part in parts for call in part.calls]
        return [
            Draft(
                _joined([part.query for part in parts], draw),
                self._relevant(calls),
                sample,
                NAME,
                [call_line(call) for call in calls],
                [fact for part in parts for fact in part.facts],
                " ".join(part.answer for part in parts),
            )
        ]

    def _write_unsolvable(
        self, sample: Sample, unable: Sequence[_Way], draw: random.Random
    ) -> list[Draft]:
        part = self._fill(draw.choice(unable), {}, draw)
        return [Draft(part.query, [], sample, NAME, solvable=False)] if part else []

    def _choose(self, kind: str, able: Sequence[_Way], draw: random.Random) -> list[_Way]:
        """Choose phrasings of different APIs; for I2 and I3, of different tools first."""
        wanted = draw.choice((1, 1, 1, 2, 2)) if kind == "I1" else draw.choice((2, 2, 3))
        chosen: list[_Way] = []
        for way in draw.sample(able, len(able)):
            taken = {api for other in chosen for api in other.apis}
            calls = sum(len(other.phrasing.calls) for other in [*chosen, way])
            same_tool = kind != "I1" and {t for t, _ in way.apis} & {t for t, _ in taken}
            if not way.apis & taken and not same_tool and calls <= MOST_CALLS:
                chosen.append(way)
            if len(chosen) == wanted:
                break
        return chosen

    def _fill(self, way: _Way, shared: dict[str, Any], draw: random.Random) -> _Part | None:
        """Fill a phrasing with values, and make its calls; None where they are not answered."""
        values = self._values(way, shared, draw)
        spoken = {slot: way.tool.spoken(slot, value, draw) for slot, value in values.items()}
        calls: list[ApiCall] = []
        responses: list[ApiResponse] = []
        session = self._world.session()
        try:
            for phrased in way.phrasing.calls:
                call = self._call(way, phrased, values, responses)
                response = session.call(call)
                if response.status_code != StatusCode.ANSWERED or not response.body:
                    return None
                calls.append(call)
                responses.append(response)
            places = [(int(name[0]) - 1, name[1:]) for name in way.phrasing.facts]
            facts = [fact_of(calls[n], responses[n], pointer) for n, pointer in places]
            answer = _returned(way.phrasing.answer, responses)
        except (UnrecordedCall, JsonPointerException, LookupError, TypeError):
            return None
        if None in facts:
            return None
        shared |= values
        return _Part(
            SLOT.sub(lambda found: spoken[found[1]], way.phrasing.query),
            calls,
            [fact for fact in facts if fact],
            SLOT.sub(lambda found: spoken[found[1]], answer),
        )

    def _values(self, way: _Way, shared: dict[str, Any], draw: random.Random) -> dict[str, Any]:
        """Draw what fills the slots: from the request so far, a recorded call, or the pools."""
        slots = _slots(way.phrasing)
        first = way.phrasing.calls[0]
        fitting = [
            bound
            for arguments in self._recorded_arguments(*way.owner(first), first.api)
            if (bound := _bind(first.arguments, arguments)) is not None
        ]
        use_recorded = fitting and (self._world.tape is None or draw.random() < 0.5)
        bound = draw.choice(fitting) if use_recorded else {}
        values = {slot: way.tool.draw(slot, draw) for slot in slots} | bound
        if self._world.tape is not None and draw.random() < 0.6:
            values |= {slot: shared[slot] for slot in slots if slot in shared}
        return values

    def _recorded_arguments(self, category: str, tool: str, api: str) -> list[dict[str, Any]]:
        found = self._world.catalogue.find(tool, api, category)
        if found is None:
            return []
        key = (found[0].name, found[1].name)
        if key not in self._recorded:
            recordings = self._world.store.of_api(*key)
            self._recorded[key] = [
                r.call.arguments for r in recordings if isinstance(r.call.arguments, dict)
            ]
        return self._recorded[key]

    def _call(
        self,
        way: _Way,
        phrased: PhrasedCall,
        values: dict[str, Any],
        responses: Sequence[ApiResponse],
    ) -> ApiCall:
        tool, api = self._world.document(ApiCall(*way.owner(phrased), phrased.api, {}))
        arguments = {n: _argument(a, values, responses) for n, a in phrased.arguments.items()}
        return ApiCall(tool.category, tool.name, api.name, arguments)

    def _relevant(self, calls: Sequence[ApiCall]) -> list[list[str]]:
        return [list(pair) for pair in dict.fromkeys((call.tool, call.api) for call in calls)]


def _slots(phrasing: Phrasing) -> list[str]:
    arguments = [v for c in phrasing.calls for v in c.arguments.values() if isinstance(v, str)]
    names = [*SLOT.findall(phrasing.query), *SLOT.findall(phrasing.answer)]
    names += [slot for value in arguments for slot, _ in PART.findall(value)]
    return list(dict.fromkeys(names))


def _bind(pattern: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any] | None:
    """Read the slots' values off a recorded call; None where it is another kind of call."""
    if pattern.keys() != arguments.keys():
        return None
    bound = {}
    for name, wanted in pattern.items():
        slot = SLOT.fullmatch(wanted) if isinstance(wanted, str) else None
        if slot:
            bound[slot[1]] = arguments[name]
        elif wanted != arguments[name]:
            return None
    return bound


def _argument(pattern: Any, values: dict[str, Any], responses: Sequence[ApiResponse]) -> Any:
    """Fill an argument.

    Raises:
        JsonPointerException: an earlier answer lacks what it takes from it.
    """
    if not isinstance(pattern, str):
        return pattern
    if returned := RETURNED.fullmatch(pattern):
        return resolve_pointer(responses[int(returned[1]) - 1].body, returned[2])
    if part := PART.fullmatch(pattern):
        value = values[part[1]]
        return value[part[2]] if part[2] else value
    return PART.sub(
        lambda found: str(values[found[1]][found[2]] if found[2] else values[found[1]]), pattern
    )


def _returned(text: str, responses: Sequence[ApiResponse]) -> str:
    """Put values out of answers into a text."""

    def value(found: re.Match[str]) -> str:
        number = int(found[1])
        return text_of(resolve_pointer(responses[number - 1].body, found[2]))

    return RETURNED.sub(value, text)


def _joined(queries: Sequence[str], draw: random.Random) -> str:
    """Join requests into one, with words between them."""

    def pieces() -> Iterator[str]:
        yield queries[0]
        for query in queries[1:]:
            joint = draw.choice(_JOINTS)
            yield joint
            yield (
                query[0].lower() + query[1:] if joint.endswith(", ") and _may_fall(query) else query
            )

    return "".join(pieces())


def _may_fall(query: str) -> bool:
    """Tell whether a request's first letter may become small inside a sentence."""
    return query.split()[0].lower() in ("how", "what", "which", "is", "tell", "give", "when", "who")
