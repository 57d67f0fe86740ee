"""The peers' way to simulate an API, to compare with: document and first examples in a prompt.

StableToolBench's server works like this: the API's document, the first five answers of its cache
(fewer where they take more than 2,048 characters), JSON mode, three attempts. The words here are
ours, and a completion may be as long as our own engine's. It is measured, and offered to nobody.
"""

import json
from collections.abc import Sequence

from sandbox.chat import ChatModel, CompletionRequest, Sampling
from sandbox.names import identifier
from sandbox.simulator.answer import Answer, Example, read_literal
from sandbox.simulator.engine import Question, Reply
from sandbox.simulator.prompts import shortened

FIRST = 5
"""Examples that are shown."""

SHOWN = 2048
"""Characters of them that are shown."""

ATTEMPTS = 3
"""How often the model may try to write JSON."""

_SYSTEM = """\
Act as the server of a web API. You are given the API's documentation, examples of calls with \
their answers, and the input of a new call. Reply with one JSON object and nothing else: \
{"error": "", "response": <what the API answers>}. The answer must follow the documentation, look \
like the examples, and suit the input."""


class PeersWay:
    """Simulates as the peers do.

    Args:
        model: writes the answers.
    """

    name = "peers' way"

    def __init__(self, model: ChatModel) -> None:
        self.model: str | None = model.name
        self._model = model

    def answer(self, question: Question) -> Reply | None:
        """Answer a call; None where the model wrote no JSON object."""
        user = "\n".join(
            [
                f"API documentation: {json.dumps(question.api.to_json(), ensure_ascii=False)}",
                f"API examples: {_examples(question.examples)}",
                f"API input: {json.dumps(question.arguments, ensure_ascii=False)}",
                "API output:",
            ]
        )
        messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": user}]
        answers = [json.dumps(shortened(e.answer.body)) for e in question.examples]
        longest = max(map(len, answers), default=1000)
        for attempt in range(ATTEMPTS):
            sampling = Sampling(
                0.7 if attempt else 0.0,
                (int(question.key[:8], 16) + attempt) % 2**31,
                min(1024, 96 + longest),
            )
            request = CompletionRequest(
                messages,
                [],
                sampling,
                f"peers/{question.key[:16]}",
                attempt,
                {"type": "object"},
            )
            answer = _read(self._model.complete(request).content, question)
            if answer is not None:
                return Reply(answer, self.name, self.model)
        return None


def _examples(examples: Sequence[Example]) -> str:
    shown = [
        [e.arguments, {"error": e.answer.error, "response": e.answer.body}]
        for e in examples[:FIRST]
    ]
    while len(shown) > 1 and len(json.dumps(shown, ensure_ascii=False)) > SHOWN:
        shown.pop()
    return json.dumps(shown, ensure_ascii=False)[:SHOWN]


def _read(text: str | None, question: Question) -> Answer | None:
    """Read what the model wrote; what looks like a recorded refusal counts as one."""
    try:
        told = json.loads(text or "")
    except ValueError:
        return None
    if not isinstance(told, dict):
        return None
    body = told.get("response", told)
    body = read_literal(body) if isinstance(body, str) else body
    error = str(told.get("error") or "") if "response" in told else ""
    refusals = [e.answer.body for e in (*question.refused, *question.others) if e.answer.refused]
    alike = isinstance(body, dict) and any(
        isinstance(r, dict) and {*map(identifier, r)} == {*map(identifier, body)} for r in refusals
    )
    return Answer(400 if error or alike else 200, body, error)
