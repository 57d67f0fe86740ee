"""Import of OpenAPI 3 descriptions: one tool of each, one API of each operation.

References inside the description are followed; nothing else is, so no file and no address is read
but the one that was given. A schema that holds itself, or grows beyond `SCHEMA_LIMIT`, keeps the
type of what is left out.
"""

import json
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import yaml
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from sandbox.depth import check_depth
from sandbox.errors import BadInput
from sandbox.importers.intake import Imported, known_documents, take_in
from sandbox.importers.sketch import IMPORTED_CATEGORY, distinct_name
from sandbox.importers.toolbench import UNKNOWN_URL
from sandbox.tool import Api, Parameter, Tool

SCHEMA_LIMIT = 2_000
"""Parts (objects, lists, values) of one schema with its references followed."""

DEPTH_LIMIT = 60
"""Levels of one schema."""

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_TYPES = {
    "integer": "NUMBER",
    "number": "NUMBER",
    "boolean": "BOOLEAN",
    "array": "ARRAY",
    "object": "OBJECT",
}
_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json\b")
_FORM = "application/x-www-form-urlencoded"
_SENDERS_HEADERS = ("accept", "authorization", "content-type", "x-rapidapi-host", "x-rapidapi-key")
"""Headers that are no arguments: OpenAPI takes three out, and the other two come with the key."""

Json = dict[str, Any]


def import_openapi(source: Path, into: Path, category: str = IMPORTED_CATEGORY) -> Imported:
    """Bring an OpenAPI description into a world, as a tool without recordings.

    Args:
        source: the description, OpenAPI 3 in JSON or YAML.
        into: the world's directory; made where missing.
        category: the tool's category.

    Returns:
        What came in; operations that cannot be called as they are described are listed as skipped.

    Raises:
        BadInput: the file is no OpenAPI 3 description, or leads outside itself.
    """
    imported = Imported()
    known_documents(into)
    tool = Description(source, _read(source)).tool(category, imported)
    take_in(into, "OpenAPI", [tool], [], imported, {"placeholders": {"url": UNKNOWN_URL}})
    return imported


class _Loader(yaml.CSafeLoader):
    """Reads YAML as JSON would be: dates stay texts."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def _yaml(text: str) -> Any:
    check_depth(text)
    return yaml.load(text, Loader=_Loader)  # nosec B506 # a safe loader


def _read(path: Path) -> Json:
    try:
        text = path.read_text(encoding="utf-8-sig")
        document = json.loads(text) if path.suffix == ".json" else _yaml(text)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        problem = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"{path}: cannot be read as JSON or YAML ({problem}).") from error
    if isinstance(document, dict) and "swagger" in document:
        raise BadInput(
            f"{path}: this is Swagger {document['swagger']}, not OpenAPI 3. Convert it first, for "
            f"example with https://converter.swagger.io or npx swagger2openapi."
        )
    version = str(document.get("openapi", "")) if isinstance(document, dict) else ""
    if not version.startswith("3."):
        raise BadInput(
            f"{path}: no OpenAPI 3 description (its openapi field is {version or 'missing'!r})."
        )
    return {str(name): value for name, value in document.items()}


class Description:
    """An OpenAPI description.

    Args:
        path: its file, for errors.
        document: its content.
    """

    def __init__(self, path: Path, document: Json) -> None:
        self._path = path
        self._document = document
        resource = Resource.from_contents(document, default_specification=DRAFT202012)
        registry: Registry[Any] = Registry().with_resource("", resource)
        self._resolver = registry.resolver("")

    @cached_property
    def _info(self) -> Json:
        return _mapping(self._document.get("info"))

    def tool(self, category: str, imported: Imported) -> Tool:
        """Give the tool with an API for each operation.

        Args:
            category: the tool's category.
            imported: is told of what cannot be called as it is described.

        Raises:
            BadInput: there is no operation, or one is no mapping or leads outside the file.
        """
        name = str(self._info.get("title") or self._path.stem)
        tool = Tool(
            name=name,
            category=category,
            description=str(self._info.get("description") or ""),
            host=urlsplit(self._server({}, {})).netloc,
            api_list=[],
        )
        taken: set[str] = set()
        for path, method, item, operation in self._operations():
            place = f"{method.upper()} {path}"
            left_out: list[str] = []
            api = self._api(place, path, item, operation, left_out)
            api.name = distinct_name(str(operation.get("operationId") or place), taken)
            api.method = method.upper()
            if left_out:
                imported.skipped[f"{self._path}, {place}"] = f"left out: {', '.join(left_out)}"
                api.description = f"{api.description}\nLeft out: {', '.join(left_out)}.".strip()
            tool.api_list.append(api)
        if not tool.api_list:
            raise BadInput(f"{self._path}: it describes no operation: paths is empty or missing.")
        return tool

    def _operations(self) -> Iterator[tuple[str, str, Json, Json]]:
        for path, given in _mapping(self._document.get("paths")).items():
            if str(path).startswith("x-"):
                continue
            item = self._followed(given, f"paths.{path}")
            for method in _METHODS:
                if isinstance(item.get(method), dict):
                    yield str(path), method, item, item[method]

    def _api(self, place: str, path: str, item: Json, operation: Json, left_out: list[str]) -> Api:
        required, optional = self._parameters(place, item, operation, left_out)
        kind, body = self._body(place, operation, left_out)
        taken = {parameter.name for parameter in [*required, *optional]}
        for parameter, is_required in body:
            if parameter.name in taken:
                left_out.append(f"body field {parameter.name} (a parameter has that name)")
            else:
                (required if is_required else optional).append(parameter)
        for parameter in [*required, *optional] if kind else []:
            in_path = f"{{{parameter.name}}}" in path or parameter.location == "header"
            if parameter.name in taken and not in_path:
                parameter.location = "query"
        texts = [str(operation.get(part) or "") for part in ("summary", "description")]
        url = self._server(item, operation).rstrip("/") + "/" + path.lstrip("/")
        api = Api(
            name=place,
            description="\n".join(text for text in texts if text),
            url=url,
            required_parameters=required,
            optional_parameters=optional,
        )
        if kind:
            api.request_body = kind
        self._describe_response(place, operation, api)
        return api

    def _parameters(
        self, place: str, item: Json, operation: Json, left_out: list[str]
    ) -> tuple[list[Parameter], list[Parameter]]:
        given: dict[tuple[str, str], Json] = {}
        for owner in (item, operation):
            for entry in _list(owner.get("parameters")):
                parameter = self._followed(entry, f"{place}: parameters")
                given[str(parameter.get("name")), str(parameter.get("in"))] = parameter
        required: list[Parameter] = []
        optional: list[Parameter] = []
        for (name, where), parameter in given.items():
            if where not in ("path", "query", "header"):
                left_out.append(f"{where} parameter {name}")
                continue
            if where == "header" and not _is_argument(name, given):
                left_out.append(f"header parameter {name}")
                continue
            needed = parameter.get("required") is True or where == "path"
            made = self._parameter(name, parameter)
            if where == "header":
                made.location = "header"
            (required if needed else optional).append(made)
        return required, optional

    def _parameter(self, name: str, given: Json) -> Parameter:
        schema = given.get("schema")
        for media in _mapping(given.get("content")).values():
            schema = schema or _mapping(media).get("schema")
        resolved = self._resolved(schema if schema is not None else {})
        resolved = resolved if isinstance(resolved, dict) else {}
        return _parameter_of(name, {**resolved, **_about(given)})

    def _body(
        self, place: str, operation: Json, left_out: list[str]
    ) -> tuple[str | None, list[tuple[Parameter, bool]]]:
        """Give how a body is sent, and its fields with whether each is required."""
        if not operation.get("requestBody"):
            return None, []
        body = self._followed(operation["requestBody"], f"{place}: requestBody")
        content = _mapping(body.get("content"))
        media_type = next((m for m in content if _JSON.match(m)), _FORM)
        if media_type not in content:
            left_out.append(f"the body ({', '.join(content) or 'of no type'})")
            return None, []
        schema = self._resolved(_mapping(content[media_type]).get("schema", {}))
        properties, needed = _object_of(schema)
        if not properties:
            left_out.append("the body (no object with known fields)")
            return None, []
        fields = [
            (_parameter_of(name, _mapping(about)), body.get("required") is True and name in needed)
            for name, about in properties.items()
            if not _mapping(about).get("readOnly")
        ]
        return ("form" if media_type == _FORM else "json"), fields

    def _describe_response(self, place: str, operation: Json, api: Api) -> None:
        responses = {str(code): r for code, r in _mapping(operation.get("responses")).items()}
        code = next((c for c in sorted(responses) if c.startswith("2")), None)
        if code is None:
            return
        api.status_code = int(code) if code.isdigit() else 200
        response = self._followed(responses[code], f"{place}: responses.{code}")
        content = _mapping(response.get("content"))
        media = _mapping(next((content[m] for m in content if _JSON.match(m)), None))
        if "schema" in media:
            api.response_schema = self._resolved(media["schema"])
        examples = [self._followed(e, place) for e in _mapping(media.get("examples")).values()]
        for example in [media, *({"example": e.get("value")} for e in examples)]:
            if example.get("example") is not None:
                api.example = self._resolved(example["example"])
                return

    def _server(self, item: Json, operation: Json) -> str:
        servers = operation.get("servers") or item.get("servers") or self._document.get("servers")
        server = _mapping(next(iter(_list(servers)), None))
        url = str(server.get("url") or "/")
        for name, variable in _mapping(server.get("variables")).items():
            url = url.replace(f"{{{name}}}", str(_mapping(variable).get("default", "")))
        try:
            return urljoin(UNKNOWN_URL, url)
        except ValueError as error:
            raise BadInput(f"{self._path}: servers: {url} is no URL ({error}).") from error

    def _followed(self, given: Any, place: str) -> Json:
        """Follow a reference to the part that it means.

        Raises:
            BadInput: the part is no mapping, or the reference leads nowhere or out of the file.
        """
        seen: set[str] = set()
        while isinstance(given, dict) and isinstance(given.get("$ref"), str):
            reference = given["$ref"]
            if reference in seen:
                raise BadInput(f"{self._path}: {place}: {reference} leads back to itself.")
            seen.add(reference)
            given = self._target(reference, place)
        if not isinstance(given, dict):
            raise BadInput(f"{self._path}: {place}: {str(given)[:80]!r} is no mapping.")
        return given

    def _target(self, reference: str, place: str) -> Any:
        try:
            if not reference.startswith("#"):
                raise BadInput(
                    f"{self._path}: {place}: {reference} leads out of the file, and nothing else "
                    f"is read. Bundle the description into one file first, for example with "
                    f"npx @redocly/cli bundle."
                )
            return self._resolver.lookup(reference).contents
        except (Unresolvable, ValueError, TypeError, AttributeError) as error:
            raise BadInput(f"{self._path}: {place}: {reference} leads nowhere.") from error

    def _resolved(self, value: Any) -> Any:
        return _Expansion(self._target).expand(value, (), 0)


class _Expansion:
    """One schema with the references inside the file put in place."""

    def __init__(self, target: Any) -> None:
        self._target = target
        self._parts = 0

    def expand(self, value: Any, open_references: tuple[str, ...], depth: int) -> Any:
        """Copy a value, references replaced by what they mean; those out of the file stay."""
        self._parts += 1
        full = self._parts > SCHEMA_LIMIT or depth > DEPTH_LIMIT
        if isinstance(value, list):
            items = value if not full else []
            return [self.expand(item, open_references, depth + 1) for item in items]
        if not isinstance(value, dict):
            return value
        reference = value.get("$ref")
        if isinstance(reference, str):
            if not reference.startswith("#"):
                return {"$ref": reference}
            target = self._target(reference, "a schema")
            if reference in open_references or full:
                return _kept(target)
            rest = {name: part for name, part in value.items() if name != "$ref"}
            merged = {**target, **rest} if isinstance(target, dict) else target
            return self.expand(merged, (*open_references, reference), depth + 1)
        if full:
            return _kept(value)
        return {
            str(name): self.expand(part, open_references, depth + 1) for name, part in value.items()
        }


def _is_argument(header: str, given: dict[tuple[str, str], Json]) -> bool:
    """Tell a header that a caller chooses from those that the sender sets, and from namesakes."""
    namesake = any((header, where) in given for where in ("path", "query"))
    return header.lower() not in _SENDERS_HEADERS and not namesake


def _kept(schema: Any) -> Json:
    """Give what stays of a schema that is left out: its type."""
    kind = schema.get("type") if isinstance(schema, dict) else None
    return {"type": kind} if isinstance(kind, str) else {}


def _mapping(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _about(parameter: Json) -> Json:
    """Give what a parameter says itself, beside its schema."""
    about = {n: parameter[n] for n in ("description", "example") if parameter.get(n) is not None}
    for example in _mapping(parameter.get("examples")).values():
        about.setdefault("example", _mapping(example).get("value"))
    return about


def _parameter_of(name: str, schema: Json) -> Parameter:
    description = str(schema.get("description") or "")
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        listed = ", ".join(str(choice) for choice in choices[:30])
        description = f"{description} One of: {listed}.".strip()
    default = schema.get("default", schema.get("example"))
    examples = schema.get("examples")
    if default is None and isinstance(examples, list) and examples:
        default = examples[0]
    return Parameter(
        name=name,
        type=_TYPES.get(_type_of(schema), "STRING"),
        description=description,
        default="" if default is None else default,
    )


def _type_of(schema: Json) -> str:
    kinds = schema.get("type")
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if isinstance(kind, str) and kind != "null":
            return kind
    for way in ("allOf", "anyOf", "oneOf"):
        for part in _list(schema.get(way)):
            kind = _type_of(_mapping(part))
            if kind != "null":
                return kind
    return "object" if "properties" in schema else "null"


def _object_of(schema: Any) -> tuple[Json, set[str]]:
    """Give the fields of an object schema and the names of those that are required."""
    properties = dict(_mapping(_mapping(schema).get("properties")))
    required = {str(name) for name in _list(_mapping(schema).get("required"))}
    for part in _list(_mapping(schema).get("allOf")):
        more, needed = _object_of(part)
        properties |= more
        required |= needed
    return properties, required
