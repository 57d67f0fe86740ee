"""The files made from the declarations: one document per tool, and the list of sample calls."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .core import TOOLS, Api, Raw, Tool


def tool_document(tool: Tool) -> dict[str, Any]:
    """Return a tool's document: ToolBench's fields, and collections, host and home URL."""
    return {
        "tool_name": tool.name,
        "title": tool.name,
        "tool_description": tool.description,
        "category": tool.category,
        "collections": list(tool.collections),
        "host": tool.host,
        "home_url": f"https://rapidapi.example/{tool.slug}",
        "pricing": tool.pricing,
        "api_list": [api_document(api) for api in tool.apis],
    }


def api_document(api: Api) -> dict[str, Any]:
    """Return an API's document; its schema is that of its sample answers."""
    document: dict[str, Any] = {
        "name": api.name,
        "url": api.url,
        "description": api.description,
        "method": api.method,
        "required_parameters": [p.document for p in api.parameters if p.required],
        "optional_parameters": [p.document for p in api.parameters if not p.required],
        "request_body": api.request_body,
        "statuscode": 200,
    }
    answers = [] if api.worthless else list(good_answers(api))
    if answers:
        document["schema"] = schema_of(answers)
    return document


def good_answers(api: Api) -> Iterator[Any]:
    """Answer the API's good samples, leaving out what is not JSON."""
    for sample in api.samples:
        if sample.status == 200:
            answer = api.call(sample.arguments)
            if not isinstance(answer, Raw):
                yield answer


def schema_of(values: list[Any]) -> dict[str, Any]:
    """Return the JSON Schema that fits the values: types, properties, what is always there."""
    kinds = sorted({json_type(value) for value in values})
    if "integer" in kinds and "number" in kinds:
        kinds.remove("integer")
    schema: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds}
    objects = [value for value in values if isinstance(value, dict)]
    if objects:
        names = list(dict.fromkeys(name for value in objects for name in value))
        schema["properties"] = {
            name: schema_of([value[name] for value in objects if name in value]) for name in names
        }
        schema["required"] = [name for name in names if all(name in value for value in objects)]
    items = [item for value in values if isinstance(value, list) for item in value]
    if items:
        schema["items"] = schema_of(items)
    return schema


def json_type(value: Any) -> str:
    """Return JSON Schema's name for a value's type."""
    if isinstance(value, bool):
        return "boolean"
    for kind, name in JSON_TYPES.items():
        if isinstance(value, kind):
            return name
    return "null"


JSON_TYPES = {str: "string", int: "integer", float: "number", dict: "object", list: "array"}


def write_documents(into: Path) -> int:
    """Write every tool's document below a folder; return how many."""
    for tool in TOOLS:
        path = into / re.sub(r"[ ,/]", "_", tool.category) / f"{standard_name(tool.name)}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(tool_document(tool), indent=2, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")
    return len(TOOLS)


def standard_name(name: str) -> str:
    """Return a name in ToolBench's standard form: lower case, ``_`` for everything else."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower())


def sample_calls() -> Iterator[dict[str, Any]]:
    """Return every API's sample calls in the order of declaration."""
    for tool in TOOLS:
        for api in tool.apis:
            for sample in api.samples:
                yield {
                    "category": tool.category,
                    "tool": tool.name,
                    "api": api.name,
                    "arguments": sample.arguments,
                }


def write_calls(into: Path, calls: Iterable[dict[str, Any]]) -> int:
    """Write calls as JSON Lines with sorted keys; return how many."""
    lines = [json.dumps(call, sort_keys=True, ensure_ascii=False) for call in calls]
    into.parent.mkdir(parents=True, exist_ok=True)
    into.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)
