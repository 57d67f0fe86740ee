"""The engine that makes answers up: of the document's form, and of nothing that was ever true."""

from typing import Any

from sandbox.names import identifier
from sandbox.simulator.answer import Answer
from sandbox.simulator.engine import Question, Reply
from sandbox.simulator.made_up import MadeUp
from sandbox.simulator.recordings_engine import RecordingsEngine
from sandbox.simulator.schema import Schema, conforms, given_schema, inferred_schema, instance


class MadeUpEngine:
    """Makes answers up from schemas, seeded by the call.

    Fields of an argument's name repeat the argument. What no schema is known of is answered as
    `RecordingsEngine` does.
    """

    name = "made-up"
    model: str | None = None

    def answer(self, question: Question) -> Reply:
        """Answer a call that is well-formed."""
        bodies = [example.answer.body for example in question.answered]
        schema = given_schema(question.api) or (inferred_schema(bodies) if bodies else None)
        if schema is None:
            return RecordingsEngine().answer(question)
        body = instance(schema, MadeUp(question.key))
        if isinstance(body, dict):
            body |= _repeated(question.arguments, schema.get("properties", {}))
        return Reply(Answer(200, body), self.name)


def _repeated(arguments: dict[str, Any], fields: dict[str, Schema]) -> dict[str, Any]:
    """Give the fields that repeat an argument: those of its name, where it fits them."""
    told = {identifier(name): value for name, value in arguments.items()}
    return {
        field: told[name]
        for field, schema in fields.items()
        if (name := identifier(field)) in told and conforms(told[name], schema)
    }
