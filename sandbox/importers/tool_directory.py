"""ToolBench's tool directories: the documents of tools, and the shapes of their responses.

A directory holds `<category>/<tool>.json`, each the document of a tool; a `<tool>/api.py` beside
it is code that was made from the document. Nothing of the code is run, here or later: neither
`api.py` nor what stands in a document's `code` field. A second kind of directory holds, under the
same names, the shapes of the tools' responses (`{"city": "str"}`).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sandbox.catalogue import Catalogue, read_tool
from sandbox.errors import BadInput
from sandbox.importers.intake import Imported
from sandbox.names import standardise
from sandbox.tool import Api, Tool

Json = dict[str, Any]


class ToolDirectory:
    """Documents and shapes that were found in files.

    Attributes:
        tools: the documents.
        shapes: the files of shapes with their content.
    """

    def __init__(self) -> None:
        self.tools: list[Tool] = []
        self.shapes: dict[Path, Json] = {}

    def take(self, path: Path, content: Any, imported: Imported) -> bool:
        """Take a file if it is of a tool directory.

        Args:
            path: the file.
            content: what it holds.
            imported: is told of a document that is damaged.

        Returns:
            Whether the file is a document or holds shapes.
        """
        if not isinstance(content, dict) or not isinstance(content.get("api_list"), list):
            return False
        if "tool_name" in content or "name" in content:
            try:
                self.tools.append(read_tool(path))
            except BadInput as error:
                imported.skipped[str(path)] = str(error).removeprefix(f"{path}: ")
            return True
        if all(isinstance(entry, dict) and "name" in entry for entry in content["api_list"]):
            self.shapes[path] = content
            return True
        return False

    def add_shapes(self, catalogue: Catalogue, known: Catalogue, imported: Imported) -> None:
        """Add the shapes to the documents that lack them; list those without a document.

        Args:
            catalogue: the documents; they are changed.
            known: documents that stay as they are, where both have an API.
            imported: counts the shapes, and is told what was left out.
        """
        by_name: dict[tuple[str, str], list[Api]] = {}
        for tool, api in catalogue.apis():
            place = (standardise(tool.name), standardise(api.name))
            by_name.setdefault(place, []).append(api)
        categories = {id(api): standardise(tool.category) for tool, api in catalogue.apis()}
        names = {id(api): (tool.name, api.name) for tool, api in catalogue.apis()}
        for path, content in self.shapes.items():
            entries = content["api_list"]
            if not entries:
                imported.skipped[str(path)] = "response shapes of a tool, but of none of its APIs"
                continue
            category = standardise(path.parent.name)
            missing = []
            for entry in entries:
                apis = by_name.get((standardise(path.stem), standardise(str(entry["name"]))), [])
                own = [api for api in apis if categories[id(api)] == category]
                if own:
                    new = [api for api in own if not known.find(*names[id(api)], category)]
                    imported.shapes += _add_shape(new, entry)
                else:
                    missing.append(str(entry["name"]))
            if missing:
                imported.skipped[str(path)] = (
                    f"response shapes of APIs without a document: {', '.join(missing)}"
                )


def _add_shape(apis: Iterable[Api], entry: Json) -> int:
    lacking = [api for api in apis if api.template_response is None and entry.get("schema")]
    for api in lacking:
        api.template_response = entry["schema"]
    return len(lacking)
