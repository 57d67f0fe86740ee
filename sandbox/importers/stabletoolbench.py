"""Import of StableToolBench's cache of API responses.

The cache is a folder `<category>/<tool>/<api>.json`; each file is an object whose keys are the
texts of tool inputs and whose values are `{"error", "response"}`.
"""

import ast
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandbox.call import ApiCall
from sandbox.cassette import Recording
from sandbox.catalogue import Catalogue
from sandbox.errors import BadInput
from sandbox.importers.intake import Imported, known_documents, take_in
from sandbox.importers.sketch import sketch_parameters
from sandbox.importers.toolbench import UNKNOWN_URL
from sandbox.names import function_name, standardise
from sandbox.response import ERROR_TEXTS
from sandbox.tool import Api, Tool

_CODES = {text: int(code) for code, text in ERROR_TEXTS.items()}

Arguments = dict[str, Any] | str


def import_stabletoolbench(source: Path, into: Path) -> Imported:
    """Bring a cache of responses into a world.

    Args:
        source: the cache's folder (`tool_response_cache`), or one that holds it.
        into: the world's directory; made where missing.

    Returns:
        What came in; files and entries that are no responses are listed as skipped.

    Raises:
        BadInput: there is no response.
    """
    imported = Imported()
    known = known_documents(into)
    tools: list[Tool] = []
    recordings: list[Recording] = []
    for path in _files(source):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            entries = list(_entries(path, imported))
        if entries:
            tool, api, is_known = _document(path, [arguments for arguments, _ in entries], known)
            if not is_known:
                tools.append(tool)
            recordings += _recordings(tool, api, entries)
    if not recordings:
        reasons = "".join(f"\n  {p}: {why}" for p, why in list(imported.skipped.items())[:5])
        raise BadInput(
            f"{source}: no cached responses here. Point at StableToolBench's tool_response_cache "
            f"(<category>/<tool>/<api>.json).{reasons}"
        )
    notes = {"placeholders": {"url": UNKNOWN_URL}}
    take_in(into, "StableToolBench", tools, recordings, imported, notes)
    return imported


def _files(source: Path) -> list[Path]:
    """List the cache's files: those that lie two folders below the cache's own."""
    if source.is_file():
        return [source]
    inner = source / "tool_response_cache"
    return sorted((inner if inner.is_dir() else source).glob("*/*/*.json"))


def _entries(path: Path, imported: Imported) -> Iterator[tuple[Arguments, dict[str, Any]]]:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        imported.skipped[str(path)] = f"not JSON ({error})"
        return
    if not isinstance(content, dict):
        imported.skipped[str(path)] = "no object of responses by tool input"
        return
    wrong = 0
    for key, value in content.items():
        if isinstance(value, dict) and "response" in value:
            yield read_input(key), value
        else:
            wrong += 1
    if wrong:
        imported.skipped[str(path)] = f"{wrong} entries without a response"


def read_input(text: str) -> Arguments:
    """Read the text of a tool input: JSON, or Python's way of writing a dictionary.

    Returns:
        The arguments; the text itself where it is neither.
    """
    text = _encodable(text)
    value: Any = None
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        try:
            value = _plain(ast.literal_eval(text.strip()))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return text
    if not isinstance(value, dict) or ("\\" in text and _has_surrogates(value)):
        return text
    return value


def _has_surrogates(value: Any) -> bool:
    text = json.dumps(value, ensure_ascii=False)
    return _encodable(text) != text


def _encodable(text: str) -> str:
    """Replace halves of characters (lone surrogates), which no file in UTF-8 can hold."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode("utf-8")
    return text


def _plain(value: Any) -> Any:
    """Bring a Python literal into JSON's shapes.

    Raises:
        TypeError: it has a part that JSON knows nothing like.
    """
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{type(value).__name__} is not JSON")


def _document(path: Path, inputs: list[Arguments], known: Catalogue) -> tuple[Tool, Api, bool]:
    """Find an API's document in the world, or draw it from names and arguments."""
    category, tool, api = path.parent.parent.name, path.parent.name, path.stem
    for name in (api, api.removeprefix("is_")):
        found = known.find(tool, name, category)
        if found:
            return (*found, True)
    required, optional = sketch_parameters([a for a in inputs if isinstance(a, dict)])
    drawn = Api(
        name=api,
        description="Drawn from cached responses.",
        method="GET",
        url=UNKNOWN_URL,
        required_parameters=required,
        optional_parameters=optional,
    )
    return Tool(name=tool, category=category, description="", api_list=[drawn]), drawn, False


def _recordings(
    tool: Tool, api: Api, entries: list[tuple[Arguments, dict[str, Any]]]
) -> Iterator[Recording]:
    function = api.function_name or function_name(tool.name, standardise(api.name))
    for arguments, value in entries:
        error = value.get("error") or ""
        request = {
            "body": json.dumps({"function": function, "arguments": arguments}),
            "headers": {"content-type": ["application/json"]},
            "method": "POST",
            "uri": UNKNOWN_URL,
        }
        observation = json.dumps(
            {"error": error, "response": value["response"]}, ensure_ascii=False
        )
        response = {
            "body": {"string": _encodable(observation)},
            "headers": {"content-type": ["application/json"]},
            "status": {"code": 200, "message": "OK"},
        }
        call = ApiCall(tool.category, tool.name, api.name, arguments)
        code = _CODES.get(error, 0) if isinstance(error, str) else 0
        yield Recording(call, request, response, status_code=code)
