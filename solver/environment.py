"""The environment of one search: functions by name, and what calling them returns."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.call import ApiCall, read_arguments
from sandbox.errors import UnrecordedCall
from sandbox.function import FINISH, function_for
from sandbox.response import (
    ERROR_TEXTS,
    OBSERVATION_LIMIT,
    ApiResponse,
    Provenance,
    StatusCode,
    cut,
)
from sandbox.tool import Api, Tool
from sandbox.world import Session
from solver.compression import Compressor, Sample

FINISHED = '{"response":"successfully giving the final answer."}'
"""What Finish returns with give_answer in ToolBench's trees."""

GAVE_UP = '{"response":"chose to give up and restart"}'
"""What Finish returns with give_up_and_restart in ToolBench's trees."""

ARGUMENTS_UNREADABLE = json.dumps({"error": "Tool input parse error...\n", "response": ""})
"""What ToolBench's server answers where the arguments are no JSON object."""


@dataclass(frozen=True)
class Observation:
    """What a function call returned.

    Attributes:
        text: what the model is shown.
        status_code: one of ToolBench's codes.
        provenance: where the answer comes from; None where no API was called.
    """

    text: str
    status_code: int
    provenance: Provenance | None = None


class Environment:
    """Offers APIs and Finish as functions, and answers calls of them from a session.

    Args:
        apis: what is offered, in this order; of APIs whose functions share a name, the first.
        session: answers the API calls.
        observation_limit: characters of an observation that the model is shown.
        strict: let an unrecorded call end the search instead of showing it to the model.
        compressor: shortens long answers before they are shown.
    """

    def __init__(
        self,
        apis: Sequence[tuple[Tool, Api]],
        session: Session,
        observation_limit: int = OBSERVATION_LIMIT,
        strict: bool = False,
        compressor: Compressor | None = None,
    ) -> None:
        self._compressor = compressor
        self._apis: dict[str, tuple[Tool, Api]] = {}
        for tool, api in apis:
            self._apis.setdefault(tool.function_name(api), (tool, api))
        self._session = session
        self._limit = observation_limit
        self._strict = strict
        self.functions = [*(function_for(*found) for found in self._apis.values()), FINISH]

    @property
    def tools(self) -> list[tuple[str, str]]:
        """Name and description of each tool, once, in the order of its first API."""
        return list({tool.name: tool.description or "" for tool, _ in self._apis.values()}.items())

    def step(self, name: str, arguments: str) -> Observation:
        """Call a function.

        Args:
            name: the function's name as the model wrote it. As in ToolBench, the end of a
                function's name is enough, where no function has the name itself.
            arguments: the text that the model wrote.
        """
        if name == "Finish":
            return self._finish(arguments)
        call = self.call_of(name, arguments)
        return self._call(call) if call else self._call_unknown(name, arguments)

    def call_of(self, name: str, arguments: str) -> ApiCall | None:
        """Tell which API call a function call stands for; None where there is no such function."""
        found = self._resolve(name)
        if found is None:
            return None
        tool, api = found
        return ApiCall(tool.category, tool.name, api.name, read_arguments(arguments))

    def _finish(self, arguments: str) -> Observation:
        """End the path; an imported tree may have recorded an end of its own."""
        call = ApiCall("", "", "Finish", arguments)
        if not self._session.recordings(call):
            return _finish(arguments)
        recorded = self._session.call(call)
        return Observation(recorded.observation(self._limit), recorded.status_code)

    def _resolve(self, name: str) -> tuple[Tool, Api] | None:
        if name in self._apis or not name:
            return self._apis.get(name)
        return next((found for full, found in self._apis.items() if full.endswith(name)), None)

    def _call_unknown(self, name: str, arguments: str) -> Observation:
        """Answer a call of no function at all, as it was recorded or as ToolBench does."""
        call = ApiCall("", "", name, arguments)
        if self._session.recordings(call):
            return self._observe(self._session.call(call))
        error = json.dumps({"error": f"No such function name: {name}", "response": ""})
        return Observation(cut(error, self._limit), StatusCode.NO_SUCH_FUNCTION)

    def _call(self, call: ApiCall) -> Observation:
        try:
            return self._observe(self._shortened(call, self._session.call(call)))
        except UnrecordedCall:
            if isinstance(call.arguments, str):
                return Observation(cut(ARGUMENTS_UNREADABLE, self._limit), StatusCode.ANSWERED)
            if self._strict:
                raise
            error = f"{ERROR_TEXTS[StatusCode.REQUEST_FAILED]}: this call is not recorded"
            failed = ApiResponse("", error, StatusCode.REQUEST_FAILED, "unrecorded")
            return self._observe(failed)

    def _shortened(self, call: ApiCall, response: ApiResponse) -> ApiResponse:
        """Compress a long answer, by the fields of the first long one that was recorded.

        Where none was, it is cut alone: by which answer fields were chosen must not depend on
        which call came first.
        """
        compressor = self._compressor
        if compressor is None or not compressor.is_long(response.body):
            return response
        tool, api = next(
            found
            for found in self._apis.values()
            if (found[0].name, found[1].name) == (call.tool, call.api)
        )
        bodies = (recorded.body for recorded in self._session.responses_of(call))
        body = next(filter(compressor.is_long, bodies), None)
        return compressor.compress(Sample(tool, api, body) if body else None, response)

    def _observe(self, response: ApiResponse) -> Observation:
        return Observation(
            response.observation(self._limit), response.status_code, response.provenance
        )


def finish_arguments(arguments: str) -> dict[str, Any]:
    """Read the arguments of Finish, also from the broken JSON that models write.

    Where the text is no JSON, `return_type` is found by its name, and `final_answer` is all that
    follows its own, as in ToolBench.
    """
    parsed = read_arguments(arguments)
    if isinstance(parsed, dict):
        return parsed
    found: dict[str, Any] = {}
    _, name, rest = arguments.partition('"return_type": "')
    if name:
        found["return_type"] = rest.partition('"')[0]
    _, name, answer = arguments.partition('"final_answer": "')
    if name:
        found["final_answer"] = answer
    return found


def told_in(finish: str) -> str:
    """Read the final answer from the arguments of Finish; empty where there is none."""
    told = finish_arguments(finish).get("final_answer", "")
    return told if isinstance(told, str) else str(told)


def _finish(arguments: str) -> Observation:
    given = finish_arguments(arguments)
    if "return_type" not in given:
        return Observation('{error:"must have "return_type""}', StatusCode.FINISH_CALLED_WRONGLY)
    if given["return_type"] == "give_up_and_restart":
        return Observation(GAVE_UP, StatusCode.GAVE_UP)
    if given["return_type"] != "give_answer":
        return Observation(
            '{error:""return_type" is not a valid choice"}', StatusCode.FINISH_CALLED_WRONGLY
        )
    if "final_answer" not in given:
        return Observation('{error:"must have "final_answer""}', StatusCode.FINISH_CALLED_WRONGLY)
    return Observation(FINISHED, StatusCode.FINAL_ANSWER)
