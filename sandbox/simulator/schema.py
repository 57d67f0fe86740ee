"""Schemas of answers: as a document gives them, or as recordings show them."""

import json
from collections.abc import Sequence
from typing import Any, Protocol

from genson import SchemaBuilder
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from sandbox.tool import Api

Schema = dict[str, Any]
"""A JSON Schema."""

LONGEST_BOUND, SHORTEST_BOUND = 128, 24
"""Characters of the longest and the shortest bound that a text is given."""

MAP_FIELDS = 5
"""Fields that an object must have to be taken for a map from data to values of one type."""

_TEMPLATE_TYPES = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "NoneType": "null",
}
"""The type names in ToolBench's response templates."""


def inferred_schema(bodies: Sequence[Any]) -> Schema:
    """Infer the schema that all bodies conform to; a field that all have is required."""
    builder = SchemaBuilder(schema_uri=None)
    for body in bodies:
        builder.add_object(body)
    schema: Schema = builder.to_schema()
    return _closed(schema)


def given_schema(api: Api) -> Schema | None:
    """Give the schema of an API's answers that its document tells, in whatever form it does.

    That is a JSON Schema, ToolBench's `template_response`, or an example of an answer.
    """
    for told in (api.response_schema, _from_template(api.template_response)):
        schema = _read(told)
        if schema:
            return schema
    example = _value(api.example)
    return inferred_schema([example]) if isinstance(example, dict | list) and example else None


def conforms(value: Any, schema: Schema) -> bool:
    """Tell whether a JSON value conforms to a schema; none does to one that lacks its parts.

    References to other documents are never fetched.
    """
    try:
        return Draft202012Validator(schema, registry=Registry()).is_valid(value)
    except Unresolvable:
        return False


def _read(told: Any) -> Schema | None:
    schema = _value(told)
    if not isinstance(schema, dict) or not ({"type", "properties", "anyOf"} & schema.keys()):
        return None
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError:
        return None
    return schema


def _value(told: Any) -> Any:
    try:
        return json.loads(told) if isinstance(told, str) else told
    except ValueError:
        return None


def _from_template(template: Any) -> Schema | None:
    """Turn ToolBench's template (names of types in place of values) into a schema."""
    if isinstance(template, str) and template in _TEMPLATE_TYPES:
        return {"type": _TEMPLATE_TYPES[template]}
    if isinstance(template, list):
        items = next((s for item in template if (s := _from_template(item))), None)
        return {"type": "array", **({"items": items} if items else {})}
    if isinstance(template, dict):
        fields = {n: _from_template(v) for n, v in template.items() if n != "_list_length"}
        return {"type": "object", "properties": {n: s or {} for n, s in fields.items()}}
    return None


def _closed(schema: Schema) -> Schema:
    """Allow no other fields than those that were seen."""
    if "anyOf" in schema:
        return {**schema, "anyOf": [_closed(way) for way in schema["anyOf"]]}
    closed = dict(schema)
    if "properties" in schema:
        fields = {n: _closed(s) for n, s in schema["properties"].items()}
        if _is_map(schema):
            return {"type": schema["type"], "additionalProperties": next(iter(fields.values()))}
        closed["properties"] = fields
        closed["additionalProperties"] = False
    if isinstance(schema.get("items"), dict):
        closed["items"] = _closed(schema["items"])
    return closed


def narrowed(schema: Schema, near: Schema) -> Schema:
    """Keep the fields of a schema that a narrower one has, and require those that it requires.

    Args:
        schema: inferred from many answers; its types stay.
        near: inferred from some of them.
    """
    narrow = dict(schema)
    if "properties" in schema and "properties" in near:
        own = {n: s for n, s in schema["properties"].items() if n in near["properties"]}
        narrow["properties"] = {n: narrowed(s, near["properties"][n]) for n, s in own.items()}
        narrow["required"] = near.get("required", [])
    if isinstance(schema.get("items"), dict) and isinstance(near.get("items"), dict):
        narrow["items"] = narrowed(schema["items"], near["items"])
    return narrow


def bounded(schema: Schema, bodies: Sequence[Any]) -> Schema:
    """Bound lists and texts by the longest ones seen, so that a weak model comes to an end."""
    bound = dict(schema)
    lists = [body for body in bodies if isinstance(body, list)]
    if lists and isinstance(schema.get("items"), dict):
        bound["maxItems"] = max(map(len, lists))
        bound["items"] = bounded(schema["items"], [item for body in lists for item in body])
    objects = [body for body in bodies if isinstance(body, dict)]
    if objects and "properties" in schema:
        bound["properties"] = {
            name: bounded(inner, [body[name] for body in objects if name in body])
            for name, inner in schema["properties"].items()
        }
    longest = max((len(body) for body in bodies if isinstance(body, str)), default=None)
    if schema.get("type") == "string" and longest is not None and 2 * longest <= LONGEST_BOUND:
        bound["maxLength"] = max(2 * longest, SHORTEST_BOUND)
    return bound


def with_constants(schema: Schema, values: dict[tuple[str, ...], Any]) -> Schema:
    """Fix the values of fields.

    Args:
        schema: of an object.
        values: by path; a path through a list is left alone.
    """
    fixed = schema
    for path, value in values.items():
        fixed = _fix(fixed, path, value)
    return fixed


def _fix(schema: Schema, path: tuple[str, ...], value: Any) -> Schema:
    if not path:
        return {"const": value}
    fields = schema.get("properties", {})
    if path[0] not in fields:
        return schema
    return {**schema, "properties": {**fields, path[0]: _fix(fields[path[0]], path[1:], value)}}


def all_required(schema: Any) -> Any:
    """Require every field of a schema that requires none, so that a model leaves none out."""
    if not isinstance(schema, dict):
        return schema
    full = dict(schema)
    if "properties" in schema:
        full["properties"] = {n: all_required(s) for n, s in schema["properties"].items()}
        full.setdefault("required", [n for n, s in schema["properties"].items() if s is not False])
    if isinstance(schema.get("items"), dict):
        full["items"] = all_required(schema["items"])
    return full


def _is_map(schema: Schema) -> bool:
    """Tell a map, whose keys are data, from a record: many fields alike, none always there."""
    fields = list(schema["properties"].values())
    return (
        len(fields) >= MAP_FIELDS
        and not schema.get("required")
        and all(field == fields[0] for field in fields)
    )


class Values(Protocol):
    """Chooses where a schema leaves a choice."""

    def one_of(self, choices: Sequence[Any]) -> Any:
        """Choose one of the values that a schema lists."""
        ...

    def length(self) -> int:
        """Choose how many items a list has."""
        ...

    def value(self, kind: str, name: str) -> Any:
        """Choose a scalar.

        Args:
            kind: a scalar type of JSON Schema.
            name: the field that it is of.
        """
        ...


def instance(schema: Schema | bool, values: Values, name: str = "") -> Any:
    """Build a value that a schema describes, with every field; of several ways it takes the first.

    Args:
        schema: the schema.
        values: chooses what stands in it.
        name: the field that it is of.
    """
    if isinstance(schema, bool):
        return ""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return values.one_of(schema["enum"])
    for word in ("anyOf", "oneOf", "allOf"):
        if schema.get(word):
            return instance(schema[word][0], values, name)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    if kind == "object":
        fields = schema.get("properties", {}).items()
        return {field: instance(s, values, field) for field, s in fields if s is not False}
    if kind == "array":
        count = values.length() if schema.get("items") else 0
        return [instance(schema["items"], values, name) for _ in range(count)]
    return values.value(kind, name)


class Plainest:
    """The plainest values: the first one, one item, nothing in it."""

    def one_of(self, choices: Sequence[Any]) -> Any:
        """Choose the first."""
        return choices[0]

    def length(self) -> int:
        """Choose one item."""
        return 1

    def value(self, kind: str, name: str) -> Any:
        """Choose an empty text, 0 or false."""
        plain: dict[str, Any] = {"string": "", "number": 0, "integer": 0, "boolean": False}
        return plain.get(kind)
