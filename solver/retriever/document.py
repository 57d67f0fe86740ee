"""Documents: what is known of an API, as text that requests are compared with.

The fields are those of ToolBench's documents: category, tool, API, description, parameters and
response schema. Training and search read the same texts, so both make them here.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sandbox.catalogue import Catalogue
from sandbox.errors import BadInput
from sandbox.tool import Api, Tool

FORMAT = 1
"""Version of how documents become text; another one makes another index."""

_FIELDS = 30
"""Names of a response's fields that a document tells at most."""

_MARKUP = re.compile(r"https?://\S+|!\[[^\]]*\]\([^)]*\)|<[^>]{1,200}>")
_SEPARATORS = re.compile(r"[_/\-:.{}]+")
_CAMEL = re.compile(r"([a-z0-9])([A-Z])")


@dataclass(frozen=True)
class Document:
    """An API as text.

    Attributes:
        category: its tool's category.
        tool: its tool's name.
        api: its name.
        names: tool and API, as words.
        text: what an encoder reads.
        terms: what BM25 reads: the text, and what is said of the parameters with their defaults.
    """

    category: str
    tool: str
    api: str
    names: str
    text: str
    terms: str

    @cached_property
    def hash(self) -> str:
        """Changes with anything that the index holds of the document."""
        content = json.dumps([FORMAT, self.category, self.tool, self.api, self.text, self.terms])
        return hashlib.sha256(content.encode()).hexdigest()

    def to_entry(self) -> dict[str, str]:
        """Name the API as an `api_list` does."""
        return {"category_name": self.category, "tool_name": self.tool, "api_name": self.api}


def documents_of(catalogue: Catalogue) -> list[Document]:
    """Write all APIs of a catalogue as text, in its order.

    Raises:
        BadInput: the catalogue is empty.
    """
    found = [write_document(tool, api) for tool, api in catalogue.apis()]
    if not found:
        raise BadInput(
            "There are no APIs to retrieve from: the catalogue is empty. Import tools with "
            "toolreplay world import, or give query files whose api_list describes APIs."
        )
    return found


def write_document(tool: Tool, api: Api) -> Document:
    """Write one API as text."""
    names = f"{as_words(tool.name)} {as_words(api.name)}"
    parameters = ", ".join(as_words(parameter.name) for parameter in api.parameters)
    fields = ", ".join(response_fields(api))
    about = _MARKUP.sub(" ", api.description or "").strip()
    text = (
        f"{as_words(tool.category)} | {as_words(tool.name)} | {as_words(api.name)}. {about} | "
        f"{parameters} | {fields}"
    )
    said = (
        f"{_MARKUP.sub(' ', p.description or '')} {'' if p.default is None else p.default}"
        for p in api.parameters
    )
    return Document(tool.category, tool.name, api.name, names, text, f"{text} {' '.join(said)}")


def as_words(name: str) -> str:
    """Write a name as words: `getUserOrders` and `/v1/user_orders` come apart."""
    return _CAMEL.sub(r"\1 \2", _SEPARATORS.sub(" ", name)).strip()


def response_fields(api: Api) -> list[str]:
    """Name the fields of a response, from ToolBench's template, the schema or the example."""
    for known in (api.template_response, api.response_schema, api.example):
        names = dict.fromkeys(as_words(name) for name in _names(_parsed(known)))
        if names:
            return list(names)[:_FIELDS]
    return []


def _parsed(known: Any) -> Any:
    if not isinstance(known, str):
        return known
    try:
        return json.loads(known)
    except ValueError:
        return None


def _names(shape: Any) -> Iterator[str]:
    """Go through the names in a template, an example or a JSON Schema, outer ones first."""
    if isinstance(shape, list):
        for part in shape:
            yield from _names(part)
    if not isinstance(shape, dict):
        return
    if shape.get("type") in ("object", "array"):
        properties = shape.get("properties")
        shape = properties if isinstance(properties, dict) else {"": shape.get("items")}
    for name, part in shape.items():
        if name and name != "_list_length":
            yield name
        yield from _names(part)


def toolbench_text(tool: Tool, api: Api) -> str:
    """Write an API as ToolBench's retriever does: for BM25 as it is compared with elsewhere."""
    required = json.dumps([p.to_json() for p in api.required_parameters], ensure_ascii=False)
    optional = json.dumps([p.to_json() for p in api.optional_parameters], ensure_ascii=False)
    schema = json.dumps(api.template_response or "", ensure_ascii=False)
    return (
        f"{tool.category}, {tool.name}, {api.name}, {api.description or ''}, required_params: "
        f"{required}, optional_params: {optional}, return_schema: {schema}"
    )
