"""The engine without a model: the answer to the nearest recorded call, fitted to this one."""

from typing import Any

from sandbox.names import identifier
from sandbox.simulator.answer import Answer, Example, general
from sandbox.simulator.echo import Echo, Path, echoed, echoes, quotes
from sandbox.simulator.engine import Question, Reply
from sandbox.simulator.forms import unlike_answered
from sandbox.simulator.nearest import as_text, nearest
from sandbox.simulator.schema import Plainest, given_schema, instance


class RecordingsEngine:
    """Builds answers from schema and recordings alone.

    The answer is that of the recorded call with the nearest arguments, in which each field that
    repeats an argument repeats this call's. Without recordings, it is the plainest value that the
    document's schema describes.
    """

    name = "recordings"
    model: str | None = None

    def answer(self, question: Question) -> Reply:
        """Answer a call that is well-formed."""
        return Reply(remembered(self._built(question), question), self.name)

    def _built(self, question: Question) -> Answer:
        group = likely_group(question)
        if not group:
            return self._without_examples(question)
        template = nearest(question.arguments, group, 1)[0]
        found = quotes(template) if template.answer.refused else echoes(group)
        return fitted(template, question.arguments, found)

    def _without_examples(self, question: Question) -> Answer:
        """Answer by the document; where it tells nothing, by the nearest answer that was cut."""
        schema = given_schema(question.api)
        if schema is not None:
            return Answer(200, instance(schema, Plainest()))
        cut = nearest(question.arguments, question.examples, 1)
        return cut[0].answer if cut else Answer(200, {})


def likely_group(question: Question) -> list[Example]:
    """Give the recorded calls that a call most likely fares like: the answered or the refused.

    That is the answered ones, unless the arguments have a form that was never answered, or the API
    refuses more often than not and its nearest call was refused. Where the API itself has no
    fitting recordings, the refusals of the tool's other APIs stand in: a service words its refusals
    alike, and an API of a tool that refused everything will too.
    """
    answered = [e for e in (*question.examples, *question.others) if not e.answer.refused]
    refused = question.refused or question.refused_elsewhere
    if unlike_answered(question.arguments, answered):
        return refused or question.answered
    if len(question.refused) > len(question.answered):
        whole = [*question.answered, *question.refused]
        closest = nearest(question.arguments, whole, 1)[0]
        return question.refused if closest.answer.refused else question.answered
    return question.answered or (refused if question.refused or not answered else [])


def fitted(template: Example, arguments: dict[str, Any], found: dict[Path, Echo]) -> Answer:
    """Give the answer to another call with this call's arguments in the fields that repeat them."""

    def fit(value: Any, path: tuple[str | int, ...]) -> Any:
        echo = found.get(general(path))
        if echo is not None and arguments.get(echo.argument) is not None:
            before = template.arguments.get(echo.argument)
            return echoed(value, before, arguments[echo.argument], echo.way)
        if isinstance(value, dict):
            return {name: fit(item, (*path, name)) for name, item in value.items()}
        if isinstance(value, list):
            return [fit(item, (*path, number)) for number, item in enumerate(value)]
        return value

    answer = template.answer
    return Answer(answer.status, fit(answer.body, ()), answer.error, answer.code)


def remembered(answer: Answer, question: Question) -> Answer:
    """Let an answer agree with what was said before of the same thing.

    The latest earlier exchange that has all of this call's arguments, among its own or in its
    answer, speaks of the same thing: its fields take the place of fields of the same names.
    """
    if answer.refused or not isinstance(answer.body, dict) or not question.arguments:
        return answer
    for exchange in reversed(question.history):
        said = exchange.fields()
        wanted = question.arguments.items()
        if all(name in said and as_text(said[name]) == as_text(v) for name, v in wanted):
            known = {identifier(name): name for name in answer.body}
            body = {**answer.body, **{known[n]: v for n, v in said.items() if n in known}}
            return Answer(answer.status, body, answer.error, answer.code)
    return answer
