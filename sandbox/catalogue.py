"""The catalogue: all tools of a world, found by any spelling of their names."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic_core import to_json

from sandbox.call import ApiCall, call_key
from sandbox.disk import write_whole
from sandbox.errors import BadInput
from sandbox.names import folder_name, standardise
from sandbox.tool import Api, Tool


class Catalogue:
    """Tools and their APIs.

    Two documents of one tool (same category, same name) become one: the APIs of the second that
    the first lacks are added to it.
    """

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[tuple[str, str], Tool] = {}
        self._apis: dict[tuple[str, str], list[tuple[Tool, Api]]] = {}
        for tool in tools:
            self.add(tool)

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def add(self, tool: Tool) -> None:
        """Add a tool, or the APIs that a known tool lacks."""
        key = (standardise(tool.category), standardise(tool.name))
        known = self._tools.get(key)
        if known is None:
            known = self._tools[key] = tool.model_copy(update={"api_list": []})
        for api in tool.api_list:
            same = self._apis.setdefault((key[1], standardise(api.name)), [])
            if all(owner is not known for owner, _ in same):
                known.api_list.append(api)
                same.append((known, api))

    def apis(self) -> Iterator[tuple[Tool, Api]]:
        """Go through all APIs, tool by tool."""
        for tool in self:
            for api in tool.api_list:
                yield tool, api

    def hosts(self) -> frozenset[str]:
        """Give the hosts of all documented URLs."""
        found = (_host(api.url) for _, api in self.apis() if api.url)
        return frozenset(host for host in found if host)

    def find(self, tool: str, api: str, category: str = "") -> tuple[Tool, Api] | None:
        """Find an API by names in any spelling.

        Args:
            tool: the tool's name.
            api: the API's name.
            category: needed only where two categories have a tool of that name with that API;
                without it the first one is taken.
        """
        found = self._apis.get((standardise(tool), standardise(api)), [])
        wanted = standardise(category)
        return next((f for f in found if not wanted or standardise(f[0].category) == wanted), None)

    def key(self, call: ApiCall) -> str:
        """Give the key of a call, by the document of its API where there is one.

        Names count as the document has them, so a call may leave its category out.
        """
        found = self.find(call.tool, call.api, call.category)
        if found is None:
            return call_key(call, None)
        tool, api = found
        if (call.category, call.tool, call.api) != (tool.category, tool.name, api.name):
            call = ApiCall(tool.category, tool.name, api.name, call.arguments)
        return call_key(call, api)

    @classmethod
    def from_api_list(cls, api_list: Iterable[dict[str, Any]]) -> "Catalogue":
        """Build a catalogue from the `api_list` of a ToolBench query.

        Raises:
            BadInput: an entry lacks its tool's or its API's name.
        """
        return cls(tool_of_entry(entry) for entry in api_list)

    @classmethod
    def read(cls, folder: Path) -> "Catalogue":
        """Read all documents `<category>/<tool>.json` below a folder, in the order of their paths.

        A document without a category takes its folder's name.

        Raises:
            BadInput: a file is no tool document; names the file and the field.
        """
        return cls(read_tool(path) for path in sorted(folder.glob("*/*.json")))

    def write(self, folder: Path) -> None:
        """Write each tool to `<category>/<tool>.json` below a folder."""
        for tool in self:
            path = folder / folder_name(tool.category) / f"{folder_name(tool.name)}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_tool(path, tool)


def _host(url: str) -> str | None:
    """Give the host of a URL; nothing where it is none."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def read_tool(path: Path) -> Tool:
    """Read one tool document, ToolBench's own or ours.

    Raises:
        BadInput: the file is no tool document; names the file and the field.
    """
    try:
        document = json.loads(path.read_bytes())
        if isinstance(document, dict):
            document.setdefault("category", path.parent.name)
            if "tool_name" not in document and "name" in document:
                document["tool_name"] = document["name"]
        return Tool.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the document"
        raise BadInput(
            f"{path}: {field}: {first['msg']}. A tool document needs tool_name and api_list, and "
            f"each API a name."
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not JSON ({error}).") from error


def write_tool(path: Path, tool: Tool) -> None:
    """Write one tool document."""
    write_whole(path, document(tool))


def document(tool: Tool) -> str:
    """Give the text of a tool document; json itself takes five times as long to indent it."""
    content = tool.to_json()
    try:
        return to_json(content, indent=2, inf_nan_mode="constants").decode() + "\n"
    except ValueError:
        return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def tool_of_entry(entry: dict[str, Any]) -> Tool:
    """Turn an entry of a query's `api_list` into a tool with that one API.

    Raises:
        BadInput: the entry lacks its tool's or its API's name.
    """
    try:
        about = {name: value for name, value in entry.items() if name not in _ENTRY_NAMES}
        api = Api.model_validate(
            {"name": entry["api_name"], "description": entry.get("api_description"), **about}
        )
        return Tool(
            name=entry["tool_name"], category=entry.get("category_name", ""), api_list=[api]
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise BadInput(
            f"An entry of api_list is no API document: {str(entry)[:200]} ({error}). It needs "
            f"category_name, tool_name and api_name."
        ) from error


_ENTRY_NAMES = frozenset({"category_name", "tool_name", "api_name", "api_description"})
