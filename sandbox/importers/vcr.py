"""Import of cassettes that vcrpy or pytest-recording made, without toolreplay's own notes.

Such a cassette knows HTTP requests, no tools. Where the world has a document whose method, host
and URL template fit, a request becomes a call of that API. Of the others documents are drawn: the
tool is named after the host, the API after method and path.

What was recorded is kept as vcrpy would play it, failures such as 429 and 503 included: they are
in the cassette because somebody wanted them there.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

import yaml
from pydantic import BaseModel, ValidationError, field_validator, model_validator
from vcr.filters import decode_response
from vcr.serializers import jsonserializer, yamlserializer

from sandbox.call import ApiCall, canonical_arguments
from sandbox.capture import KEPT_REQUEST_HEADERS, KEPT_RESPONSE_HEADERS, header_secrets
from sandbox.cassette import Recording
from sandbox.catalogue import Catalogue
from sandbox.depth import check_depth
from sandbox.errors import BadInput, CorruptTape
from sandbox.importers.intake import Imported, known_documents, take_in
from sandbox.importers.sketch import IMPORTED_CATEGORY, distinct_name, sketch_parameters
from sandbox.names import standardise
from sandbox.route import Route, Routes, fields
from sandbox.secrets import REDACTED, SECRET_HEADERS, Redactor, is_secret
from sandbox.tool import Api, Tool

CASSETTE_SUFFIXES = (".json", ".yaml", ".yml")
"""The files of a folder that are looked at."""

SHORTEST_SECRET = 12
"""Characters from which on a secret header's value is also taken out of URLs and bodies; shorter
ones (`DUMMY`, `test`) may well be words of the answer."""

BODY_ARGUMENT = "body"
"""The argument that holds a body which is neither a JSON object nor a form; one that is no text is
there, and in the recording, as base64."""

Json = dict[str, Any]
BodyKind = Literal["json", "form", "other"]


class _Request(BaseModel):
    method: str
    uri: str
    body: Any = None
    headers: dict[str, list[str]] = {}

    @field_validator("body", mode="before")
    @classmethod
    def _readable(cls, value: Any) -> Any:
        """Unfold bodies from file-like, iterated and (with aiohttp) structured ones."""
        if isinstance(value, BytesIO):
            return value.getvalue()
        if isinstance(value, Iterator):
            parts = [part if isinstance(part, bytes) else str(part).encode() for part in value]
            return b"".join(parts)
        if value is not None and not isinstance(value, str | bytes):
            return json.dumps(value, ensure_ascii=False, default=str)
        return value

    @field_validator("uri")
    @classmethod
    def _is_url(cls, value: str) -> str:
        if urlsplit(value).scheme not in ("http", "https"):
            raise ValueError(f"{value[:100]!r} is no http(s) URL")
        return value

    @field_validator("headers", mode="before")
    @classmethod
    def _lists(cls, value: Any) -> Any:
        return _header_lists(value)


class _Status(BaseModel):
    code: int
    message: str | None = ""


class _Body(BaseModel):
    string: str | bytes | None = ""


class _Response(BaseModel):
    status: _Status
    headers: dict[str, list[str]] = {}
    body: _Body

    @model_validator(mode="before")
    @classmethod
    def _of_old_httpx(cls, value: Any) -> Any:
        """Read the shape in which vcrpy stored httpx's answers before version 6."""
        if isinstance(value, dict) and "status_code" in value and "status" not in value:
            body = {"string": value.get("content", "")}
            return {**value, "status": {"code": value["status_code"]}, "body": body}
        return value

    @field_validator("body", mode="before")
    @classmethod
    def _as_mapping(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {"string": value}

    @field_validator("headers", mode="before")
    @classmethod
    def _lists(cls, value: Any) -> Any:
        return _header_lists(value)


class _Interaction(BaseModel):
    request: _Request
    response: _Response


def _header_lists(headers: Any) -> Any:
    if not isinstance(headers, dict):
        return headers if headers is not None else {}
    lists = {n: v if isinstance(v, list | tuple) else [v] for n, v in headers.items()}
    return {str(n).lower(): [_text(value) for value in v] for n, v in lists.items()}


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


@dataclass(frozen=True)
class Exchange:
    """One HTTP exchange of a cassette, secrets taken out.

    Attributes:
        request: vcrpy's request.
        response: vcrpy's response.
        headers: all headers of the request.
        body_arguments: what the request's body says.
        body_kind: how it says it; None without a body.
    """

    request: Json
    response: Json
    headers: Json
    body_arguments: Json
    body_kind: BodyKind | None

    def arguments(self, url_arguments: Json) -> Json:
        """Join what URL and body say; where both use a name, the URL's gets `url_` before it."""
        both = url_arguments.keys() & self.body_arguments.keys()
        clashing = {n for n in both if url_arguments[n] != self.body_arguments[n]}
        url = {f"url_{n}" if n in clashing else n: v for n, v in url_arguments.items()}
        return {**url, **self.body_arguments}

    def recording(self, route: Route, url_arguments: Json) -> Recording:
        """Make the recording of the API that a route leads to."""
        asked = {
            n: self.headers[n.lower()] for n in route.api.header_names if n.lower() in self.headers
        }
        in_headers = {name: ", ".join(values) for name, values in asked.items()}
        given = Redactor().value({**self.arguments(url_arguments), **in_headers})
        arguments = {name: _documented(name, value, route.api) for name, value in given.items()}
        in_path = Redactor(url_arguments[n] for n in route.names if is_secret(n, url_arguments[n]))
        headers = {n.lower(): values for n, values in asked.items() if given[n] != REDACTED}
        request = {
            **self.request,
            "uri": in_path.text(self.request["uri"]),
            "headers": {**self.request["headers"], **headers},
        }
        call = ApiCall(route.tool.category, route.tool.name, route.api.name, arguments)
        return Recording(call, request, self.response)


def import_vcr(source: Path, into: Path, shards: bool = False) -> Imported:
    """Bring vcrpy's cassettes into a world.

    Args:
        source: a cassette, or a folder of them.
        into: the world's directory; made where missing.
        shards: keep the recordings of a new world in shards, not in cassettes.

    Returns:
        What came in.

    Raises:
        BadInput: there is no cassette, or one of a format before vcrpy 1.0.
        CorruptTape: a cassette is damaged; names the file. Nothing was imported.
    """
    imported = Imported()
    exchanges: list[Exchange] = []
    cassettes = 0
    for path in [source] if source.is_file() else _candidates(source):
        interactions = _read(path, imported, alone=path == source)
        if interactions is not None:
            cassettes += 1
            exchanges += _exchanges(path, interactions, imported)
    if not cassettes:
        reasons = "".join(f"\n  {path}: {reason}" for path, reason in imported.skipped.items())
        raise BadInput(
            f"{source}: no cassette here. Point at a file or folder that vcrpy or "
            f"pytest-recording wrote ({', '.join(CASSETTE_SUFFIXES)}).{reasons}"
        )
    known = known_documents(into)
    routes = Routes(known.apis())
    tools = _sketch(known, [e for e in exchanges if not _find(routes, e)])
    routes = Routes([*known.apis(), *Catalogue(tools).apis()])
    recordings = [e.recording(*found) for e in exchanges if (found := _find(routes, e))]
    notes = {"placeholders": {"category": IMPORTED_CATEGORY}}
    take_in(into, "vcrpy cassettes", tools, recordings, imported, notes, shards)
    return imported


def _find(routes: Routes, exchange: Exchange) -> tuple[Route, Json] | None:
    return routes.find(exchange.request["method"], exchange.request["uri"])


def _candidates(folder: Path) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in files if path.suffix.lower() in CASSETTE_SUFFIXES)


def _read(path: Path, imported: Imported, alone: bool) -> list[Any] | None:
    """Read a cassette's interactions; None for a file of a folder that is no cassette."""
    content = path.read_bytes()
    if not alone and b"interactions" not in content and b"request" not in content:
        imported.skipped[str(path)] = "no cassette: it has no interactions"
        return None
    cassette = _parse(path, content)
    first = cassette[0] if isinstance(cassette, list) and cassette else None
    if isinstance(first, dict) and "request" in first:
        raise BadInput(
            f"{path}: a cassette of a version before vcrpy 1.0. Convert it with "
            f"python -m vcr.migration {path}"
        )
    if not isinstance(cassette, dict) or not isinstance(cassette.get("interactions"), list):
        imported.skipped[str(path)] = "no cassette: it has no list of interactions"
        return None
    interactions: list[Any] = cassette["interactions"]
    if any(_is_ours(interaction) for interaction in interactions):
        imported.skipped[str(path)] = "toolreplay's own cassette: copy it to the world's recorded/"
        return None
    return interactions


def _parse(path: Path, content: bytes) -> Any:
    try:
        text = content.decode("utf-8-sig")
        if text.lstrip().startswith("{"):
            try:
                return jsonserializer.deserialize(text)
            except ValueError:
                if path.suffix.lower() == ".json":
                    raise
        check_depth(text)
        return yamlserializer.deserialize(text)
    except yaml.constructor.ConstructorError as error:
        raise CorruptTape(
            f"{path}: it holds a Python object that is not built from files ({error.problem}). "
            f"Record it again without; one of a version before vcrpy 1.0 can be converted with "
            f"python -m vcr.migration {path}"
        ) from error
    except (ValueError, yaml.YAMLError, RecursionError, AttributeError, TypeError) as error:
        problem = " ".join(str(error).split()) or type(error).__name__
        raise CorruptTape(
            f"{path}: neither YAML nor JSON ({problem}). Nothing was imported. Restore the "
            f"cassette from version control, or record it again."
        ) from error


def _is_ours(interaction: Any) -> bool:
    response = interaction.get("response") if isinstance(interaction, dict) else None
    return isinstance(response, dict) and "toolreplay" in response


def _exchanges(path: Path, interactions: list[Any], imported: Imported) -> Iterator[Exchange]:
    validated = [_validated(path, number, i) for number, i in enumerate(interactions, start=1)]
    redactor = Redactor(secret for i in validated for secret in _secrets(i))
    for number, interaction in enumerate(validated, start=1):
        response = _response(interaction.response, redactor)
        if response is None:
            imported.skipped[f"{path}, interaction {number}"] = (
                f"its answer is compressed with "
                f"{', '.join(interaction.response.headers['content-encoding'])}, which nothing "
                f"here unpacks: record it again with decode_compressed_response=True"
            )
            continue
        yield _exchange(interaction.request, response, redactor)


def _validated(path: Path, number: int, interaction: Any) -> _Interaction:
    try:
        return _Interaction.model_validate(interaction)
    except (ValidationError, RecursionError) as error:
        problem = "it is nested too deeply"
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the entry"
            problem = f"{place}: {first['msg']}"
        raise CorruptTape(
            f"{path}, interaction {number}: {problem}. Nothing was imported. Mend the entry, or "
            f"record the cassette again."
        ) from error


def _secrets(interaction: _Interaction) -> Iterator[str]:
    """Give the secrets that a cassette shows in headers and URLs, long enough to be told apart."""
    request, response = interaction.request, interaction.response
    values = list(header_secrets([*request.headers.items(), *response.headers.items()]))
    values += [v for n, v in parse_qsl(urlsplit(request.uri).query) if is_secret(n, v)]
    yield from (value for value in values if len(value) >= SHORTEST_SECRET)


def _response(response: _Response, redactor: Redactor) -> Json | None:
    """Give a response as it is stored; None where its body cannot be unpacked."""
    body = response.body.string or b""
    raw = body.encode("utf-8") if isinstance(body, str) else body
    if response.headers.get("content-encoding"):
        packed = {"headers": dict(response.headers), "body": {"string": raw}}
        unpacked = decode_response(packed)
        raw = unpacked["body"]["string"]
        if unpacked["headers"].get("content-encoding") and not isinstance(_readable(raw), str):
            return None
    return {
        "status": {"code": response.status.code, "message": response.status.message or ""},
        "headers": _headers(response.headers, KEPT_RESPONSE_HEADERS, redactor),
        "body": {"string": _readable(redactor.body(raw) or b"")},
    }


def _readable(body: bytes | str) -> bytes | str:
    try:
        return body.decode("utf-8") if isinstance(body, bytes) else body
    except UnicodeDecodeError:
        return body


def _headers(headers: dict[str, list[str]], kept: Iterable[str], redactor: Redactor) -> Json:
    wanted = [name for name in kept if name in headers and name not in SECRET_HEADERS]
    return {name: [redactor.text(value) for value in headers[name]] for name in wanted}


def _exchange(request: _Request, response: Json, redactor: Redactor) -> Exchange:
    headers = _headers(request.headers, KEPT_REQUEST_HEADERS, redactor)
    body = _readable(redactor.body(request.body) or "")
    arguments, kind = _body_arguments(body, " ".join(headers.get("content-type", [])).lower())
    clean = redactor.value(arguments)
    if isinstance(body, bytes):
        body = str(arguments[BODY_ARGUMENT])
    elif clean != arguments:
        said = clean[BODY_ARGUMENT] if kind == "other" else clean
        body = urlencode(clean, doseq=True) if kind == "form" else json.dumps(said)
    stored = {
        "method": request.method.upper(),
        "uri": redactor.url(request.uri),
        "body": body or None,
        "headers": headers,
    }
    everything = _headers(request.headers, request.headers, redactor)
    return Exchange(stored, response, everything, clean, kind)


def _body_arguments(body: bytes | str, content_type: str) -> tuple[Json, BodyKind | None]:
    if not body:
        return {}, None
    if isinstance(body, bytes):
        return {BODY_ARGUMENT: base64.b64encode(body).decode("ascii")}, "other"
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = body
    if isinstance(value, dict):
        return value, "json"
    if "form-urlencoded" in content_type:
        return fields(body), "form"
    return {BODY_ARGUMENT: value}, "other"


def _documented(name: str, value: Any, api: Api) -> Any:
    """Give a value the type that the document says, by the rule of the call key."""
    parameter = api.parameter(name)
    if parameter is None or value == REDACTED:
        return value
    if isinstance(value, str) and parameter.json_type in ("array", "object"):
        try:
            parsed = json.loads(value)
        except (ValueError, RecursionError):
            return value
        wanted = list if parameter.json_type == "array" else dict
        return parsed if isinstance(parsed, wanted) else value
    return next(iter(canonical_arguments({name: value}, api).values()), None)


def _sketch(known: Catalogue, exchanges: list[Exchange]) -> list[Tool]:
    """Draw documents of the APIs that exchanges were made with."""
    groups: dict[tuple[str, str, str], list[Exchange]] = {}
    for exchange in exchanges:
        parts = urlsplit(exchange.request["uri"])
        groups.setdefault((parts.netloc, exchange.request["method"], parts.path), []).append(
            exchange
        )
    taken: dict[str, set[str]] = {}
    for tool, api in known.apis():
        if standardise(tool.category) == standardise(IMPORTED_CATEGORY):
            taken.setdefault(standardise(tool.name), set()).add(standardise(api.name))
    tools: dict[str, Tool] = {}
    for (host, method, path), group in sorted(groups.items(), key=lambda item: item[0]):
        tool = tools.setdefault(
            host,
            Tool(
                name=host,
                category=IMPORTED_CATEGORY,
                description=f"Drawn from recorded requests to {host}.",
                host=host,
                api_list=[],
            ),
        )
        name = distinct_name(f"{method} {path or '/'}", taken.setdefault(standardise(host), set()))
        tool.api_list.append(_sketch_api(name, method, path, group))
    return list(tools.values())


def _sketch_api(name: str, method: str, path: str, exchanges: list[Exchange]) -> Api:
    parts = urlsplit(exchanges[0].request["uri"])
    literal = path.replace("/:", "/%3A").replace("{", "%7B").replace("}", "%7D")
    arguments = [e.arguments(fields(urlsplit(e.request["uri"]).query)) for e in exchanges]
    required, optional = sketch_parameters(arguments)
    kinds = sorted({e.body_kind for e in exchanges if e.body_kind})
    about = f"Drawn from {len(exchanges)} recorded requests."
    if "other" in kinds:
        about += f" A body that is no JSON object and no form stands under {BODY_ARGUMENT}."
    api = Api(
        name=name,
        description=about,
        method=method,
        url=f"{parts.scheme}://{parts.netloc}{literal}",
        required_parameters=required,
        optional_parameters=optional,
    )
    if kinds in (["json"], ["form"]):
        api.request_body = kinds[0]
        in_query = {name for e in exchanges for name in fields(urlsplit(e.request["uri"]).query)}
        in_query -= {name for e in exchanges for name in e.body_arguments}
        for parameter in api.parameters:
            if parameter.name in in_query:
                parameter.location = "query"
    return api
