"""The engine with a model: it writes the answer, held to the schema that fits the call."""

import json
from collections.abc import Sequence
from functools import reduce
from typing import Any

from sandbox.chat import ChatModel, CompletionRequest, Sampling
from sandbox.simulator.answer import Answer, Example
from sandbox.simulator.echo import echoes
from sandbox.simulator.engine import Question, Reply
from sandbox.simulator.nearest import nearest
from sandbox.simulator.prompts import conversation, shortened
from sandbox.simulator.recordings_engine import RecordingsEngine, fitted, likely_group
from sandbox.simulator.schema import (
    Schema,
    all_required,
    bounded,
    conforms,
    given_schema,
    inferred_schema,
    narrowed,
    with_constants,
)

EXAMPLES = 4
"""Recorded calls that the model is shown."""

ATTEMPTS = 3
"""How often the model may try before the other engine answers."""

RETRY_TEMPERATURE = 0.7
"""The first attempt takes the likeliest tokens; a further one must differ from it."""


class ModelEngine:
    """Has a language model write answers.

    It is shown the API's document and the recorded calls with the nearest arguments, and what it
    writes is held to their schema: by the server while it decodes, and by a check afterwards.
    Where it fails `ATTEMPTS` times, the answer is the recordings engine's, and says so.

    Args:
        model: writes the answers; recorded, so that a call is asked for once.
    """

    name = "model"

    def __init__(self, model: ChatModel) -> None:
        self.model: str | None = model.name
        self._model = model
        self._without = RecordingsEngine()

    def answer(self, question: Question) -> Reply:
        """Answer a call that is well-formed.

        Raises:
            ModelFailed: the model could not be asked.
        """
        group = likely_group(question)
        near = nearest(question.arguments, group, EXAMPLES)
        schema = schema_for(question, group, near)
        for attempt in range(ATTEMPTS):
            text = self._model.complete(_request(question, near, schema, attempt)).content
            try:
                body = json.loads(text or "")
            except ValueError:
                continue
            if conforms(body, schema):
                return Reply(_answer(body, near), self.name, self.model)
        return self._without.answer(question)


def schema_for(question: Question, group: Sequence[Example], near: Sequence[Example]) -> Schema:
    """Give the schema of the answer to one call.

    The nearest examples decide which fields there are and how long they may be, all examples of
    the group which types they have; a field that repeats an argument has this call's value.
    """
    if not near:
        given = given_schema(question.api)
        return all_required(given) if given else {"type": "object"}
    shown = [shortened(e.answer.body) for e in near]
    every = inferred_schema([e.answer.body for e in group])
    schema = narrowed(every, inferred_schema(shown))
    return with_constants(bounded(schema, shown), _repeated(question, group, near[0]))


def _repeated(
    question: Question, group: Sequence[Example], like: Example
) -> dict[tuple[str, ...], Any]:
    """Give the fields that repeat this call's arguments, each as the nearest example has it."""
    found = {path: echo for path, echo in echoes(group).items() if echo.way != "quoted"}
    body = fitted(like, question.arguments, found).body
    values = {}
    for path, echo in found.items():
        if question.arguments.get(echo.argument) is not None and "[]" not in path:
            values[path] = reduce(_field, path, body)
    return {path: value for path, value in values.items() if value is not None}


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _request(
    question: Question, near: Sequence[Example], schema: Schema, attempt: int
) -> CompletionRequest:
    longest = max((len(json.dumps(shortened(e.answer.body))) for e in near), default=1000)
    sampling = Sampling(
        RETRY_TEMPERATURE if attempt else 0.0,
        (int(question.key[:8], 16) + attempt) % 2**31,
        min(2048, (96 + longest) * (1 + attempt)),
    )
    messages = conversation(question, near)
    return CompletionRequest(
        messages, [], sampling, f"simulate/{question.key[:16]}", attempt, schema
    )


def _answer(body: Any, near: Sequence[Example]) -> Answer:
    if not near:
        return Answer(200, body)
    like = near[0].answer
    return Answer(like.status, body, like.error, like.code)
