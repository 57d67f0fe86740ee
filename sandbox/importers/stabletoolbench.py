"""Import of StableToolBench's cache of API responses.

The cache is a folder `<category>/<tool>/<api>.json`; each file is an object whose keys are the
texts of tool inputs and whose values are `{"error", "response"}`.
"""

import ast
import json
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from sandbox.call import ApiCall
from sandbox.cassette import Recording
from sandbox.catalogue import Catalogue
from sandbox.encoding import text_encoder
from sandbox.errors import BadInput
from sandbox.importers.intake import Imported, Intake, known_documents
from sandbox.importers.observation import Observation
from sandbox.importers.sketch import sketch_parameters
from sandbox.importers.toolbench import UNKNOWN_URL
from sandbox.names import function_name, standardise
from sandbox.response import ERROR_TEXTS
from sandbox.secrets import Redactor
from sandbox.tool import Api, Tool

_CODES = {text: int(code) for code, text in ERROR_TEXTS.items()}

_NOT_JSON_IN_PYTHON = re.compile(r'"|\\|true|false|null|NaN|Infinity')
"""What Python writes in another way than JSON, or does not know."""

_read_json = json.JSONDecoder().raw_decode
_redactor = Redactor()
_readable = text_encoder(ensure_ascii=False)

Arguments = dict[str, Any] | str


def import_stabletoolbench(source: Path, into: Path, shards: bool = False) -> Imported:
    """Bring a cache of responses into a world, one tool at a time.

    Args:
        source: the cache's folder (`tool_response_cache`), or one that holds it.
        into: the world's directory; made where missing.
        shards: keep the recordings of a new world in shards, not in cassettes.

    Returns:
        What came in; files and entries that are no responses are listed as skipped.

    Raises:
        BadInput: there is no response.
    """
    imported = Imported()
    parts = _parts(source, known_documents(into), imported)
    first = next(parts, None)
    if first is None:
        reasons = "".join(f"\n  {p}: {why}" for p, why in list(imported.skipped.items())[:5])
        raise BadInput(
            f"{source}: no cached responses here. Point at StableToolBench's tool_response_cache "
            f"(<category>/<tool>/<api>.json).{reasons}"
        )
    notes = {"placeholders": {"url": UNKNOWN_URL}}
    with Intake(into, "StableToolBench", imported, notes, shards) as intake:
        for tools, recordings in chain([first], parts):
            intake.add(tools, recordings)
    return imported


def _parts(
    source: Path, known: Catalogue, imported: Imported
) -> Iterator[tuple[list[Tool], list[Recording]]]:
    """Read the cache tool by tool: new documents, and recordings."""
    for _, paths in groupby(_files(source), key=lambda path: path.parent):
        tools: list[Tool] = []
        recordings: list[Recording] = []
        for path in paths:
            entries = list(_entries(path, imported))
            if entries:
                inputs = [arguments for arguments, _ in entries]
                tool, api, is_known = _document(path, inputs, known)
                if not is_known:
                    tools.append(tool)
                recordings += _recordings(tool, api, entries)
        if recordings:
            yield tools, recordings


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
            yield _redactor.value(read_input(key)), value
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
    with suppress(ValueError, RecursionError):
        value = _of_python(text) if _is_json_in_python(text) else json.loads(text or "{}")
    if value is None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = _plain(ast.literal_eval(text.strip()))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return text
    if not isinstance(value, dict) or ("\\" in text and _has_surrogates(value)):
        return text
    return value


def _is_json_in_python(text: str) -> bool:
    """Tell whether a dictionary that Python wrote is JSON but for its quotes.

    Most tool inputs are, and JSON is read five times as fast.
    """
    return text.startswith("{'") and not _NOT_JSON_IN_PYTHON.search(text)


def _of_python(text: str) -> Any:
    """Read a dictionary that is JSON but for its quotes; nothing where more text follows.

    It begins without white space, for which `json.loads` looks longer than it reads.
    """
    value, end = _read_json(text.replace("'", '"'))
    return value if end == len(text) else None


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
        shown = _readable({"error": error, "response": value["response"]})
        call = ApiCall(tool.category, tool.name, api.name, arguments)
        code = _CODES.get(error, 0) if isinstance(error, str) else 0
        yield Observation.of(call, function, _encodable(_redactor.text(shown)), code)
