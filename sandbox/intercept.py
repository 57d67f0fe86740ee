"""Interception: unmodified client code that calls a catalogued host is answered by a world.

vcrpy patches the HTTP libraries (`requests`, `urllib3`, `http.client`, `httpx`, `aiohttp`, ...);
instead of a file of interactions, a world answers here: by our call keys, so the order of query
fields or the spelling of a number does not matter, and without a search through a list.
"""

import copy
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from vcr.cassette import Cassette
from vcr.filters import decode_response
from vcr.record_mode import RecordMode
from vcr.serializers.compat import convert_to_bytes

from sandbox.call import ApiCall
from sandbox.capture import TRANSIENT_STATUSES, header_secrets, stored_request, stored_response
from sandbox.cassette import Recording
from sandbox.errors import UnrecordedCall
from sandbox.network import network_shut
from sandbox.policy import KEY_VARIABLE
from sandbox.route import Routes, fields
from sandbox.secrets import SHORTEST_GIVEN, Redactor, secret_values

if TYPE_CHECKING:
    from sandbox.world import World


class Interception:
    """Calls that were intercepted, counted by what became of them.

    Attributes:
        counts: calls by `recorded`, `simulated`, `live` and `refused`.
    """

    def __init__(self, world: "World", instruction: str | None, secrets: list[str]) -> None:
        self._world = world
        self._session = world.session(instruction)
        self._routes = Routes(world.catalogue.apis())
        self._secrets = [*secrets, os.environ.get(KEY_VARIABLE)]
        self.counts: Counter[str] = Counter()

    def call_of(self, request: Any) -> ApiCall | None:
        """Tell which API call a request of vcrpy's is; None for one to another host."""
        found = self._routes.find(request.method, request.uri)
        if found is None:
            return None
        route, arguments = found
        arguments |= _header_arguments(request, route.api.header_names)
        arguments |= _body_arguments(request, route.api.request_body)
        return ApiCall(route.tool.category, route.tool.name, route.api.name, arguments)

    def is_recorded(self, call: ApiCall) -> bool:
        """Tell whether a call is to be answered from the tape."""
        tape = self._world.tape
        if tape is None or tape.made(call):
            return True
        return not tape.refresh and bool(self._session.recordings(call))

    def play(self, call: ApiCall) -> dict[str, Any]:
        """Give the recorded, or simulated, response in vcrpy's form.

        Raises:
            UnrecordedCall: there is none.
        """
        try:
            recording, provenance = self._session.find(call)
        except UnrecordedCall:
            self.counts["refused"] += 1
            raise
        self.counts["simulated" if provenance == "simulated" else "recorded"] += 1
        response: dict[str, Any] = convert_to_bytes(copy.deepcopy(recording.response))
        return response

    def record(self, call: ApiCall, request: Any, response: dict[str, Any]) -> None:
        """Put the exchange of a call that went out onto the tape."""
        self.counts["live"] += 1
        if self._world.tape is None:
            return
        headers = ((name, [_text(value)]) for name, value in request.headers.items())
        long = [value for value in header_secrets(headers) if len(value) >= SHORTEST_GIVEN]
        given = [*secret_values(call.arguments), *long]
        redactor = Redactor(self._secrets, given)
        stored = stored_response(decode_response(response), redactor)
        clean = ApiCall(call.category, call.tool, call.api, redactor.value(call.arguments))
        names = self._world.document(call)[1].header_names
        asked = stored_request(request, request.uri, redactor, names)
        transient = stored["status"]["code"] in TRANSIENT_STATUSES
        self._world.tape.put(Recording(clean, asked, stored, transient=transient))


class _WorldCassette(Cassette):  # type: ignore[misc]
    """vcrpy's cassette, answered by an interception instead of a list."""

    def __init__(self, interception: Interception, **options: Any) -> None:
        super().__init__(**options)
        self._interception = interception

    def _load(self) -> None:
        """There is no file."""

    def _save(self, force: bool = False) -> None:
        """There is no file."""

    def find_requests_with_most_matches(self, request: Any) -> list[Any]:
        return []

    def can_play_response_for(self, request: Any) -> bool:
        call = self._interception.call_of(request)
        return call is not None and self._interception.is_recorded(call)

    def play_response(self, request: Any) -> dict[str, Any]:
        call = self._interception.call_of(request)
        if call is None:
            raise UnrecordedCall(f"{request.method} {request.uri} is no call of a known API.")
        return self._interception.play(call)

    def append(self, request: Any, response: dict[str, Any]) -> None:
        call = self._interception.call_of(request)
        if call is not None:
            self._interception.record(call, request, response)


@contextmanager
def intercepting(
    world: "World", instruction: str | None, allow_hosts: tuple[str, ...], secrets: list[str]
) -> Iterator[Interception]:
    """Answer HTTP clients in this process from a world, for the length of a `with` block.

    Args:
        world: answers; while it is recording, unrecorded calls go out and are recorded.
        instruction: whose own recordings are preferred.
        allow_hosts: hosts that may be reached in replay all the same.
        secrets: values that must not be stored.
    """
    interception = Interception(world, instruction, secrets)
    with ExitStack() as doors:
        if world.tape is None:
            hosts = world.simulator.hosts if world.simulator else ()
            doors.enter_context(network_shut(*allow_hosts, *hosts))
        doors.enter_context(
            _WorldCassette.use(
                path=str(world.path), record_mode=RecordMode.ALL, interception=interception
            )
        )
        yield interception


def _header_arguments(request: Any, names: list[str]) -> dict[str, Any]:
    given = {str(name).lower(): value for name, value in request.headers.items()}
    values = {name: given[name.lower()] for name in names if name.lower() in given}
    return {name: _text(value) for name, value in values.items()}


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _body_arguments(request: Any, kind: str | None) -> dict[str, Any]:
    if not request.body or kind is None:
        return {}
    raw = request.body.read() if hasattr(request.body, "read") else request.body
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
    if kind == "form":
        return fields(text)
    try:
        given = json.loads(text)
    except ValueError:
        return {}
    return given if isinstance(given, dict) else {}
