"""The writer that asks a model: ten instructions over a sample, after three worked examples.

The procedure is that of section 2.2 of the paper; the words and the examples are ours. The model is
behind the recorder of a world, so what it wrote is on the tape and comes again without it.
"""

import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from sandbox.chat import ChatModel, CompletionRequest, Message, Sampling
from sandbox.names import standardise
from sandbox.tool import Api, Parameter, Tool
from trainer.instructions.draft import Draft
from trainer.instructions.sample import Sample
from trainer.instructions.writer import Written

ASKED_FOR = "instructions/"
"""What the tape calls the completions of this writer; the sample's seed follows."""

SPECIFIC, LONG = 7, 3
"""Instructions to ask for: to the point; and scenarios with a story around them."""

LONGEST = 1000
"""Characters of a request; llama.cpp reads no grammar with many more."""

SHOWN = 3
"""Worked examples in a prompt."""

FIELDS = 12
"""Fields of an answer that the model is told of."""

_SYSTEM = """\
You invent requests that people send to an assistant which can call APIs for them. You know the \
APIs; the people do not. They say what they want to know, with the details that the assistant \
needs."""

_RULES = """\
Write {count} requests over these APIs.
- Each needs {needs}. Combine them in different ways, and use every API somewhere.
- Say a concrete, realistic value for everything that a call needs: names, numbers, dates, codes. \
Only what another of the APIs can find out may be left open. No placeholders.
- Never mention an API, a tool, a parameter or that there are any.
- Ask only for what the APIs can tell.
- Let them differ: questions, orders, fragments, polite and curt, different people and places.
- Requests 1 to {specific} are specific: one to three sentences, straight to what is wanted.
- Requests {after} to {count} are long scenarios: somebody tells in four sentences or more what \
they are up to and why, and asks for several things along the way.
- With each request list the APIs that it needs, spelt as above."""

_ENDING = """\
Answer with JSON and nothing else: an object whose "instructions" are a list of {count} objects, \
each with "query" and "relevant_apis" as in the examples."""

_QUERY = ("query", "instruction")
_RELEVANT = ("relevant_apis", "relevant APIs", "related_apis", "apis")


@dataclass(frozen=True)
class Example:
    """A worked example: APIs that do not exist here, and a request over them.

    Attributes:
        apis: what each does, by `Tool: API`.
        query: the request.
        relevant: the APIs that it needs.
    """

    apis: dict[str, str]
    query: str
    relevant: list[str]


class ModelWriter:
    """Has a model write instructions.

    Args:
        model: who is asked.
        temperature: how freely it draws.
        max_tokens: the longest answer.
        plain: ask in words alone, without holding the answer to a schema.
    """

    def __init__(
        self,
        model: ChatModel,
        temperature: float = 0.9,
        max_tokens: int = 3072,
        plain: bool = False,
    ) -> None:
        self.name = model.name
        self.each = SPECIFIC + LONG
        self._model = model
        self._temperature = temperature
        self._max_tokens = max_tokens
        self._plain = plain

    def write(self, sample: Sample) -> Written:
        """Ask for ten instructions over a sample; what cannot be read is left out."""
        said = self._model.complete(self.request(sample)).content or ""
        drafts = [Draft(query, apis, sample, self.name) for query, apis in read(said, sample)]
        return Written(drafts, said)

    def request(self, sample: Sample) -> CompletionRequest:
        """Give what the model is asked for a sample."""
        seed = int.from_bytes(hashlib.sha256(sample.seed.encode()).digest()[:4], "big") >> 1
        return CompletionRequest(
            conversation(sample),
            [],
            Sampling(self._temperature, seed, self._max_tokens),
            f"{ASKED_FOR}{sample.seed}",
            schema=None if self._plain else answer_schema(sample),
        )


def conversation(sample: Sample) -> list[Message]:
    """Ask for instructions: the APIs on offer, the rules, three worked examples."""
    asked = "\n\n".join(
        [
            "The APIs:\n" + "\n".join(_documents(sample)),
            _RULES.format(
                count=SPECIFIC + LONG, specific=SPECIFIC, after=SPECIFIC + 1, needs=_needs(sample)
            ),
            "Examples, for other APIs:\n\n" + "\n\n".join(map(_shown, drawn_examples(sample))),
            _ENDING.format(count=SPECIFIC + LONG),
        ]
    )
    return [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": asked}]


def answer_schema(sample: Sample) -> dict[str, Any]:
    """Give the JSON Schema of an answer: ten instructions over APIs that were offered."""
    names = [api_label(tool, api) for tool, api in sample.offered]
    relevant = {
        "type": "array",
        "items": {"type": "string", "enum": names},
        "minItems": 1,
        "maxItems": len(names),
    }
    instruction = {
        "type": "object",
        "properties": {
            "query": {"type": "string", "maxLength": LONGEST},
            "relevant_apis": relevant,
        },
        "required": ["query", "relevant_apis"],
        "additionalProperties": False,
    }
    count = SPECIFIC + LONG
    many = {"type": "array", "items": instruction, "minItems": count, "maxItems": count}
    return {
        "type": "object",
        "properties": {"instructions": many},
        "required": ["instructions"],
        "additionalProperties": False,
    }


def drawn_examples(sample: Sample) -> list[Example]:
    """Draw three worked examples: for single tools, or for several."""
    examples = worked_examples()["single" if sample.kind == "I1" else "several"]
    return random.Random(f"{sample.seed}/examples").sample(examples, SHOWN)


@cache
def worked_examples() -> dict[str, list[Example]]:
    """Read the worked examples: 12 for single tools, 36 for several."""
    text = files(__package__).joinpath("worked_examples.json").read_text(encoding="utf-8")
    return {kind: [Example(**e) for e in found] for kind, found in json.loads(text).items()}


def read(answer: str, sample: Sample) -> Iterator[tuple[str, list[list[str]]]]:
    """Read instructions out of an answer, whatever stands around them.

    An answer that was cut gives what is whole; a query without a word is none. Names that were
    offered are brought to their spelling; others stay as they are, for the filters to count.

    Yields:
        Query, and tool and name of each relevant API.
    """
    known = _spellings(sample)
    for found in _objects(answer):
        query = next((found[name] for name in _QUERY if isinstance(found.get(name), str)), "")
        listed = next(
            (found[name] for name in _RELEVANT if isinstance(found.get(name), list)), None
        )
        if re.search(r"\w", query) and listed is not None:
            named = [_name(entry, known) for entry in listed]
            yield query.strip(), [list(pair) for pair in dict.fromkeys(map(tuple, named))]


def _spellings(sample: Sample) -> dict[str, list[str]]:
    """Give what may stand for each API: its label, or its name alone where that is no other's."""
    names = Counter(standardise(api.name) for _, api in sample.offered)
    known = {}
    for tool, api in sample.offered:
        known[standardise(api_label(tool, api))] = [tool.name, api.name]
        if names[standardise(api.name)] == 1:
            known.setdefault(standardise(api.name), [tool.name, api.name])
    return known


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Give the innermost JSON objects of a text that have a query, in order."""
    decoder = json.JSONDecoder(strict=False)
    at = text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            yield from _inside(value)
        at = text.find("{", end)


def _inside(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict) and any(name in value for name in _QUERY):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _inside(part)


def _name(entry: Any, known: dict[str, list[str]]) -> list[str]:
    """Read an API's name: `Tool: API`, a pair, or an object."""
    if isinstance(entry, dict):
        values = {name.removesuffix("_name"): value for name, value in entry.items()}
        entry = [values.get("tool", ""), values.get("api", "")]
    text = ": ".join(map(str, entry)) if isinstance(entry, list) else str(entry)
    tool, _, api = text.partition(":")
    return known.get(standardise(text), [tool.strip(), api.strip()])


def api_label(tool: Tool, api: Api) -> str:
    """Name an API as the model is told to."""
    return f"{tool.name}: {api.name}"


def _needs(sample: Sample) -> str:
    apis = "one or two" if len(sample.offered) == 2 else "two or three"
    if len(sample.offered) == 1:
        return "this API"
    return f"{apis} of the APIs" if sample.kind == "I1" else "APIs of two different tools or more"


def _documents(sample: Sample) -> Iterator[str]:
    told: set[str] = set()
    for tool, api in sample.offered:
        if tool.name not in told:
            told.add(tool.name)
            yield f"{tool.name}. {_line(tool.description)}".rstrip()
        yield f"- {api_label(tool, api)}. {_line(api.description)}".rstrip()
        for needed, parameters in (
            ("needs", api.required_parameters),
            ("may take", api.optional_parameters),
        ):
            if parameters:
                yield f"  {needed}: {'; '.join(map(_parameter, parameters))}"
        if fields := _fields(api.response_schema):
            yield f"  tells: {', '.join(fields)}"


def _parameter(parameter: Parameter) -> str:
    about = f"{parameter.name} ({parameter.json_type})"
    if parameter.description:
        about += f" {_line(parameter.description)}"
    example = parameter.default
    return (
        about
        if example in (None, "")
        else f"{about}, such as {json.dumps(example, ensure_ascii=False)}"
    )


def _fields(schema: Any) -> list[str]:
    """Name the first fields of an answer, those inside lists after the list's."""
    if not isinstance(schema, dict):
        return []
    properties = schema.get("properties")
    found = []
    for name, part in properties.items() if isinstance(properties, dict) else ():
        inside = _fields(part.get("items", part)) if isinstance(part, dict) else []
        found.append(f"{name} ({', '.join(inside)})" if inside else name)
    return found[:FIELDS] or _fields(schema.get("items"))


def _shown(example: Example) -> str:
    apis = "\n".join(f"- {name}. {about}" for name, about in example.apis.items())
    written = {"query": example.query, "relevant_apis": example.relevant}
    return f"{apis}\n{json.dumps(written, ensure_ascii=False)}"


def _line(text: str | None) -> str:
    """Bring a description onto one line of bounded length."""
    line = re.sub(r"\s+", " ", text or "").strip()
    return line if len(line) <= 300 else line[:297].rstrip() + "..."
