"""Live calls: from a document to an HTTP request, made through httpx and recorded by vcrpy."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import httpx
import vcr
from vcr.record_mode import RecordMode
from vcr.serialize import serialize

from sandbox.call import ApiCall
from sandbox.cassette import Recording, cassette_path, read_cassette, write_cassette
from sandbox.errors import BadInput
from sandbox.names import identifier, standardise
from sandbox.tool import Api, Tool
from sandbox.world import World

KEPT_HEADERS = frozenset({"content-type", "retry-after", "link", "location"})
"""Response headers that belong to the answer; dates, servers and request ids do not."""


def build_request(tool: Tool, api: Api, arguments: dict[str, Any]) -> httpx.Request:
    """Make the HTTP request that a call stands for.

    Arguments go into the path where the URL names them (`{name}` or `:name`), else into the body
    where the document has a `request_body` (`json` or `form`), else into the query string. An
    argument that the document does not know travels as it is called.

    Args:
        tool: the tool's document.
        api: the API's document.
        arguments: values by parameter name, in any spelling that standardises to the name.

    Raises:
        BadInput: the document has no URL, or one that is no http(s) URL.
    """
    if not api.url or urlsplit(api.url).scheme not in ("http", "https"):
        raise BadInput(
            f"{tool.name}: {api.name} has no http(s) URL in its document, so it cannot be called. "
            f"Add one under url in tools/."
        )
    values = {
        _true_name(api, name): value for name, value in arguments.items() if value is not None
    }
    url = api.url
    for name in list(values):
        placeholder = re.compile(rf"\{{{re.escape(name)}\}}|(?<=/):{re.escape(name)}(?=/|$)")
        if placeholder.search(url):
            url = quote(_text(values.pop(name)), safe="").join(placeholder.split(url))
    method = (api.method or "GET").upper()
    if api.request_body == "json":
        return httpx.Request(method, url, json=values)
    if api.request_body == "form":
        return httpx.Request(method, url, data={n: _text(v) for n, v in values.items()})
    return httpx.Request(method, url, params={n: _text(v) for n, v in sorted(values.items())})


def _true_name(api: Api, name: str) -> str:
    parameter = api.parameter(name)
    return parameter.name if parameter else name


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class _Captured:
    """A persister for vcrpy that keeps the interaction instead of writing a file."""

    def __init__(self) -> None:
        self.interactions: list[dict[str, Any]] = []

    def load_cassette(self, cassette_path: str, serializer: Any) -> Any:
        raise vcr.persisters.filesystem.CassetteNotFoundError

    def save_cassette(self, cassette_path: str, cassette_dict: Any, serializer: Any) -> None:
        self.interactions = serialize(cassette_dict, _Plain)["interactions"]


class _Plain:
    """A serializer for vcrpy that leaves the cassette a dict."""

    @staticmethod
    def serialize(cassette_dict: dict[str, Any]) -> dict[str, Any]:
        return cassette_dict


class LiveClient:
    """Calls APIs over HTTP and gives each interaction back as vcrpy records it.

    Args:
        key: sent as `X-RapidAPI-Key`; it never reaches a recording.
        via: an address that all hosts are reached at, for services that run on this machine.
        timeout: seconds to wait for an answer.
    """

    def __init__(self, key: str | None, via: str | None = None, timeout: float = 30.0) -> None:
        self._key = key
        self._via = via.rstrip("/") if via else None
        self._http = httpx.Client(timeout=timeout, follow_redirects=False, trust_env=False)

    def call(self, tool: Tool, api: Api, call: ApiCall) -> Recording:
        """Make one call.

        Raises:
            BadInput: the arguments are no object, or the document has no usable URL.
            httpx.HTTPError: the service could not be reached or did not answer in time.
        """
        if isinstance(call.arguments, str):
            raise BadInput(
                f"{call}: the arguments are no JSON object, so there is nothing to send."
            )
        documented = build_request(tool, api, call.arguments)
        with self._recorder(str(documented.url)) as captured:
            self._http.send(self._outgoing(tool, documented))
        return Recording(
            ApiCall(tool.category, tool.name, api.name, call.arguments),
            captured.interactions[0]["request"],
            captured.interactions[0]["response"],
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _outgoing(self, tool: Tool, request: httpx.Request) -> httpx.Request:
        url = str(request.url)
        if self._via:
            _, _, path, query, _ = urlsplit(url)
            url = self._via + urlunsplit(("", "", path, query, ""))
        headers = {"accept": "application/json", "x-rapidapi-host": tool.host or request.url.host}
        if "content-type" in request.headers:
            headers["content-type"] = request.headers["content-type"]
        if self._key:
            headers["x-rapidapi-key"] = self._key
        return httpx.Request(request.method, url, headers=headers, content=request.read())

    @contextmanager
    def _recorder(self, documented_url: str) -> Iterator[_Captured]:
        """Record one interaction, under the URL that the document gives."""

        def tidy_request(request: Any) -> Any:
            request.uri = documented_url
            kept = ("accept", "content-type", "x-rapidapi-host")
            request.headers = {n: v for n, v in request.headers.items() if n.lower() in kept}
            return request

        def tidy_response(response: dict[str, Any]) -> dict[str, Any]:
            headers = {n.lower(): v for n, v in response["headers"].items()}
            kept = {n: headers[n] for n in sorted(headers) if n in KEPT_HEADERS}
            body = response["body"]["string"]
            if self._key:
                body = body.replace(self._key.encode(), b"REDACTED")
            return {**response, "headers": kept, "body": {"string": body}}

        captured = _Captured()
        recorder = vcr.VCR(
            record_mode=RecordMode.ALL,
            before_record_request=tidy_request,
            before_record_response=tidy_response,
            decode_compressed_response=True,
        )
        recorder.register_persister(captured)
        with recorder.use_cassette("one call"):
            yield captured


@dataclass
class Recorded:
    """What a recording session did.

    Attributes:
        calls: calls that were made.
        kept: calls that were on the tape already.
        failed: calls that got no HTTP answer, with the reason.
    """

    calls: int = 0
    kept: int = 0
    failed: list[str] = field(default_factory=list)


def record_calls(
    world: World, calls: list[ApiCall], client: LiveClient, again: bool = False
) -> Iterator[Recorded]:
    """Make calls and put what comes back onto the tape, tool by tool.

    Args:
        world: where the documents are, and the recordings go.
        calls: what to call; a call that is recorded already is left alone.
        client: makes the calls.
        again: call recorded ones again as well and replace their recordings.

    Yields:
        The counts so far, after each call.

    Raises:
        BadInput: a call names an API that the world has no document of.
    """
    groups: dict[tuple[str, str], list[tuple[Tool, Api, ApiCall]]] = {}
    for call in calls:
        found = world.catalogue.find(call.tool, call.api, call.category)
        if found is None:
            raise BadInput(f"{call}: {world.path} has no document of this API under tools/.")
        groups.setdefault((found[0].category, found[0].name), []).append((*found, call))
    progress = Recorded()
    for (category, tool_name), group in sorted(groups.items()):
        path = cassette_path(world.path / "recorded", category, tool_name)
        tape = _Tape(world, path)
        try:
            for tool, api, call in group:
                _record_one(tape, tool, api, call, client, again, progress)
                yield progress
        finally:
            tape.write(category, tool_name)


class _Tape:
    """The recordings of one tool by call key, as they will stand in its cassette."""

    def __init__(self, world: World, path: Path) -> None:
        self._world = world
        self._path = path
        self._recordings: dict[str, list[Recording]] = {}
        for recording in read_cassette(path) if path.exists() else []:
            self._recordings.setdefault(world.key(recording.call), []).append(recording)
        self._changed = False

    def has(self, call: ApiCall) -> bool:
        return self._world.key(call) in self._recordings

    def put(self, recording: Recording) -> None:
        self._recordings[self._world.key(recording.call)] = [recording]
        self._changed = True

    def write(self, category: str, tool: str) -> None:
        """Write the cassette, ordered by API and arguments, if something is new."""
        if self._changed:
            everything = [r for same in self._recordings.values() for r in same]
            write_cassette(self._path, category, tool, sorted(everything, key=_order))


def _order(recording: Recording) -> tuple[str, str]:
    arguments = recording.call.arguments
    return standardise(recording.call.api), json.dumps(
        arguments
        if isinstance(arguments, str)
        else {identifier(n): arguments[n] for n in arguments},
        sort_keys=True,
    )


def _record_one(
    tape: _Tape,
    tool: Tool,
    api: Api,
    call: ApiCall,
    client: LiveClient,
    again: bool,
    progress: Recorded,
) -> None:
    if tape.has(call) and not again:
        progress.kept += 1
        return
    try:
        tape.put(client.call(tool, api, call))
        progress.calls += 1
    except httpx.HTTPError as error:
        progress.failed.append(f"{call}: {type(error).__name__} {error}".rstrip())


def read_calls(text: str, source: str) -> list[ApiCall]:
    """Read calls from JSON Lines: `{"category", "tool", "api", "arguments"}`.

    Args:
        text: the lines.
        source: what to call the text in an error.

    Raises:
        BadInput: a line is no call; names it.
    """
    calls = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            given = json.loads(line)
            calls.append(
                ApiCall(given.get("category", ""), given["tool"], given["api"], given["arguments"])
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadInput(
                f"{source}, line {number}: no call ({error}). A call is a line like "
                '{"category": "Travel", "tool": "Airports", "api": "By code", "arguments": {}}.'
            ) from error
    return calls
