"""Import of what the ToolBench family publishes: solution trees, query files, tool directories.

A published tree holds a whole search: the functions that were offered, every completion, every
call and what came back. From it come documents (as far as a function tells), recordings that
belong to the tree's instruction, and the model's completions in the order in which they were
made. A query file brings instructions, and with their API lists a catalogue; a tool directory
brings whole documents.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.call import ApiCall, read_arguments
from sandbox.cassette import Recording, cassette_path, write_cassette
from sandbox.catalogue import Catalogue, tool_of_entry
from sandbox.chat import Completion
from sandbox.completions import write_completions
from sandbox.disk import write_whole
from sandbox.errors import BadInput
from sandbox.importers.intake import Imported, known_documents, take_in
from sandbox.importers.tool_directory import ToolDirectory
from sandbox.instruction import Instruction
from sandbox.names import folder_name, standardise
from sandbox.recorded_completion import RecordedCompletion
from sandbox.response import StatusCode
from sandbox.secrets import Redactor, secret_values
from sandbox.tool import Tool
from sandbox.world import World

UNKNOWN_CATEGORY = "Unknown"
"""The category of tools that a tree knows as functions only."""

UNKNOWN_URL = "https://unknown.invalid/"
"""The URL of APIs that a tree knows as functions only; `.invalid` never resolves (RFC 2606)."""

INSTRUCTIONS_FILE = "toolbench.json"
"""The query file that the imported trees' instructions go to."""

_PARAMETER_TYPES = {
    "integer": "NUMBER",
    "number": "NUMBER",
    "boolean": "BOOLEAN",
    "array": "ARRAY",
    "object": "OBJECT",
}
_TOOL = re.compile(r'^This is the subfunction for tool "([^"]*)"')
_ABOUT = re.compile(r'The description of this function is: "(.*)"\Z', re.DOTALL)

Json = dict[str, Any]


def import_toolbench(source: Path, into: Path, shards: bool = False) -> Imported:
    """Bring all trees, query files and tool documents below a folder into a world.

    Args:
        source: a folder of ToolBench's data, or a single file.
        into: the world's directory; made where missing. Trees and query files need one without
            recordings; tool documents may come into any.
        shards: keep the recordings of a new world in shards, not in cassettes.

    Returns:
        What was found.

    Raises:
        BadInput: there is nothing to import, or the world has other data already.
    """
    files = [source] if source.is_file() else sorted(source.rglob("*.json"))
    trees: list[Tree] = []
    queries: dict[Path, list[Json]] = {}
    directory = ToolDirectory()
    imported = Imported()
    for path in files:
        content = _read(path, imported)
        if _is_tree(content):
            tree, reason = _whole_tree(path, content)
            if tree is None:
                imported.skipped[str(path)] = reason
            else:
                trees.append(tree)
        elif isinstance(content, list) and content and all(_is_query(entry) for entry in content):
            queries[path] = content
        elif content is not None and not directory.take(path, content, imported):
            imported.skipped[str(path)] = _why_skipped(content)
    if not trees and not queries and not directory.tools:
        raise BadInput(
            f"{source}: no solution trees, no query files and no tool documents here. Point at a "
            f"folder that holds ToolBench's answers (<set>/<id>_<model>_<method>.json), its query "
            f"files, or its tools (<category>/<tool>.json).{_reasons(imported)}"
        )
    known = known_documents(into)
    instructions = _instructions(_distinct(trees), queries)
    _check_untouched(into, instructions)
    documents = Catalogue([*directory.tools, *_query_tools(queries)])
    directory.add_shapes(documents, known, imported)
    tools = [*Catalogue.from_api_list(e for t in trees for e in t.api_list()), *documents]
    notes = {"placeholders": {"category": UNKNOWN_CATEGORY, "url": UNKNOWN_URL}}
    world = take_in(into, "ToolBench", tools, [], imported, notes, shards)
    _write_trees(world, trees, imported)
    for path, entries in instructions.items():
        _write_instructions(world.path / path, entries)
    imported.query_files = len(queries)
    imported.instructions = sum(len(entries) for entries in queries.values())
    return imported


def _whole_tree(path: Path, content: Json) -> tuple["Tree | None", str]:
    """Read a tree and everything that an import takes from it, or say why that cannot be done."""
    try:
        json.dumps(content, ensure_ascii=False).encode("utf-8")
        tree = Tree.of(path, content)
        instruction = Instruction.model_validate(tree.to_instruction())
        made = sum(1 for _ in tree.completions())
        for recording in tree.recordings():
            Recording.from_line(recording.to_line())
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        return None, f"a solution tree that cannot be read ({error!r})"
    asked = content["answer_generation"]["query_count"] - _is_cut_short(content)
    if made != asked:
        return None, f"a solution tree that shows {made} of {asked} completions"
    if not instruction.api_list:
        return None, "a solution tree that offers no functions but Finish"
    return tree, ""


def _reasons(imported: Imported) -> str:
    first = list(imported.skipped.items())[:5]
    return "".join(f"\n  {path}: {reason}" for path, reason in first)


def _check_untouched(into: Path, instructions: dict[Path, list[Json]]) -> None:
    """Refuse to put instructions where they would mix with other data or replace it."""
    if not instructions:
        return
    if (into / "recorded").exists() or (into / "completions").exists():
        raise BadInput(f"{into} has recordings already: import into a new directory.")
    there = [str(path) for path in instructions if (into / path).exists()]
    if there:
        raise BadInput(f"{into} has {', '.join(there)} already: import into a new directory.")


def _read(path: Path, imported: Imported) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        imported.skipped[str(path)] = f"not JSON ({error})"
        return None


def _is_tree(content: Any) -> bool:
    if not isinstance(content, dict) or not {"tree", "answer_generation"} <= content.keys():
        return False
    return not (content.get("forward_args") or {}).get("with_filter")


def _is_query(entry: Any) -> bool:
    return isinstance(entry, dict) and "query" in entry and "query_id" in entry


def _why_skipped(content: Any) -> str:
    if isinstance(content, dict) and "trys" in content:
        return "a ReACT answer: it has attempts, no tree"
    if isinstance(content, dict) and "tree" in content:
        return "a ranked search (with_filter): its rankings were not published"
    return "neither a solution tree, a query file nor a tool document"


@dataclass
class Tree:
    """One published search.

    Attributes:
        path: its file.
        set_name: the answer folder's name.
        query_id: the file name's first part.
        model: the file name's second part.
        content: the file.
    """

    path: Path
    set_name: str
    query_id: int | str
    model: str
    content: Json

    @classmethod
    def of(cls, path: Path, content: Json) -> "Tree":
        """Take set, id and model from the file's path (`<set>/<id>_<model>_<method>.json`)."""
        query_id, _, rest = path.stem.partition("_")
        model = re.split(r"_?(?:DFS|CoT)", rest, maxsplit=1)[0] or "unknown"
        number = int(query_id) if re.fullmatch(r"0|[1-9]\d*", query_id) else query_id
        return cls(path, path.resolve().parent.name, number, model, content)

    @property
    def instruction(self) -> str:
        """The id of the tree's instruction."""
        return f"{self.set_name}/{self.query_id}"

    @property
    def root(self) -> Json:
        """The tree's root node."""
        root: Json = self.content["tree"]["tree"]
        return root

    @property
    def functions(self) -> list[Json]:
        """The functions that were offered, Finish left out."""
        offered = self.content["answer_generation"]["function"]
        return [function for function in offered if function["name"] != "Finish"]

    def api_list(self) -> list[Json]:
        """Give the offered functions as the `api_list` of a query."""
        return [_entry_of(function) for function in self.functions]

    def completions(self) -> Iterator[RecordedCompletion]:
        """Give the model's answers in the order in which they were made."""
        for order, step in enumerate(_steps(self.root)):
            yield RecordedCompletion(self.model, "", self.instruction, order, _completion(step))

    def recordings(self) -> Iterator[Recording]:
        """Give the API calls in the order in which they were made, with what came back.

        Of functions that share a name, the first is called, as in ToolBench.
        """
        entries: dict[str, Json] = {}
        for function in self.functions:
            entries.setdefault(function["name"], _entry_of(function))
        for step in _steps(self.root):
            if step[-1]["node_type"] == "Action Input" and not _is_plain_finish(step):
                yield self._recording(entries, step[-2]["description"], step[-1])

    def _recording(self, entries: dict[str, Json], name: str, node: Json) -> Recording:
        entry = entries.get(name)
        if entry is None and name:
            entry = next((e for full, e in entries.items() if full.endswith(name)), None)
        call = (
            ApiCall(
                entry["category_name"],
                entry["tool_name"],
                entry["api_name"],
                read_arguments(node["description"]),
            )
            if entry
            else ApiCall("", "", name, node["description"])
        )
        redactor = Redactor(given=secret_values(call.arguments))
        body = json.dumps({"function": name, "arguments": node["description"]})
        call = ApiCall(call.category, call.tool, call.api, redactor.value(call.arguments))
        request = {
            "body": redactor.text(body, sent=True),
            "headers": {"content-type": ["application/json"]},
            "method": "POST",
            "uri": UNKNOWN_URL,
        }
        response = {
            "body": {"string": redactor.value(node.get("observation", ""))},
            "headers": {"content-type": ["application/json"]},
            "status": {"code": 200, "message": "OK"},
        }
        code = node.get("observation_code", 0)
        return Recording(call, request, response, self.instruction, code)

    def to_instruction(self) -> Json:
        """Give the tree's instruction, with the bounds that its search had."""
        return {
            "query": self.content["answer_generation"].get("query", ""),
            "query_id": self.query_id,
            "set": self.set_name,
            "api_list": self.api_list(),
            "as_recorded": {
                "model": self.model,
                "forward_args": self.content["forward_args"],
                "depth_limit_back_up": depth_limit_back_up(self.content),
            },
        }


def depth_limit_back_up(content: Json) -> int:
    """Find how many decisions a published search goes back at its depth limit: one or two.

    A path that reached the limit shows it: after going back one decision, its father gets another
    child if it may have one; after two, it does not. Where no path can tell (each was the last
    that its father might have), one is taken, as in ToolBench's code.
    """
    expanded = [int(node["expand_num"]) for node, _ in _expanded(content["tree"]["tree"])]
    last = max(expanded, default=0)
    cut_short = _is_cut_short(content)
    for node, siblings in _expanded(content["tree"]["tree"]):
        reached = node["pruned"] and node.get("observation_code") != StatusCode.GAVE_UP
        if not reached or (cut_short and node["expand_num"] == last):
            continue
        if siblings[-1] is not node:
            return 1
        if len(siblings) < content["forward_args"]["tree_beam_size"]:
            return 2
    return 1


def _is_cut_short(content: Json) -> bool:
    """Tell a search that its limit of queries ended."""
    asked = content["answer_generation"]["query_count"]
    return bool(asked >= content["forward_args"]["max_query_count"])


def _expanded(root: Json) -> Iterator[tuple[Json, list[Json]]]:
    """Give each node that the search went on from, with the last nodes of its siblings' steps."""
    for steps in _children(root):
        ends = [step[-1] for step in steps]
        for end in ends:
            yield end, ends


def _children(node: Json) -> Iterator[list[list[Json]]]:
    """Give, for a node and each below that was expanded, the steps that lead to its children."""
    steps = [_step(child) for child in node["children"]]
    yield steps
    for step in steps:
        yield from _children(step[-1])


def _step(node: Json) -> list[Json]:
    """Give the nodes that one completion made: thought, action and action input, where present.

    A thought that was expanded on its own (its `expand_num` is set) is a completion of its own.
    """
    step = [node]
    while (
        step[-1]["node_type"] != "Action Input"
        and step[-1]["children"]
        and not (step[-1]["node_type"] == "Thought" and step[-1]["expand_num"])
    ):
        step.append(step[-1]["children"][0])
    return step


def _steps(root: Json) -> Iterator[list[Json]]:
    """Give all steps in the order in which they were made: each before its children's."""
    for child in root["children"]:
        step = _step(child)
        yield step
        yield from _steps(step[-1])


def _is_plain_finish(step: list[Json]) -> bool:
    """Tell an end that every search reads alike from an API call, or an end in odd words."""
    given = read_arguments(step[-1]["description"])
    if step[-2]["description"] != "Finish" or isinstance(given, str):
        return False
    if step[-1].get("observation_code") == StatusCode.GAVE_UP:
        return given.get("return_type") == "give_up_and_restart"
    answers = given.get("return_type") == "give_answer" and "final_answer" in given
    return answers and step[-1].get("observation_code") == StatusCode.FINAL_ANSWER


def _completion(step: list[Json]) -> Completion:
    first, last = step[0], step[-1]
    called = last["node_type"] == "Action Input"
    return Completion(
        content=first["description"] if first["node_type"] == "Thought" else None,
        function_call=(
            {"name": step[-2]["description"], "arguments": last["description"]} if called else None
        ),
        error_code=(first.get("observation_code") or 0) if first["node_type"] == "Thought" else 0,
    )


def _entry_of(function: Json) -> Json:
    """Turn a function back into a document, as far as it tells."""
    described = function.get("description", "")
    named = _TOOL.match(described)
    name = function["name"]
    if named and name.endswith(f"_for_{named[1]}"):
        tool, api = named[1], name.removesuffix(f"_for_{named[1]}")
    else:
        tool, api = "unknown", name
    about = _ABOUT.search(described)
    schema = function["parameters"]
    required = schema.get("required", [])
    parameters = {
        parameter: _parameter_of(parameter, about)
        for parameter, about in schema.get("properties", {}).items()
    }
    return {
        "category_name": UNKNOWN_CATEGORY,
        "tool_name": tool,
        "api_name": api,
        "api_description": about[1] if about else described,
        "required_parameters": [parameters[name] for name in parameters if name in required],
        "optional_parameters": [parameters[name] for name in parameters if name not in required],
        "url": UNKNOWN_URL,
        "function_name": name,
    }


def _parameter_of(name: str, schema: Json) -> Json:
    return {
        "name": name,
        "type": _PARAMETER_TYPES.get(schema.get("type", ""), "STRING"),
        "description": schema.get("description", ""),
        "default": schema.get("example_value", ""),
    }


def _distinct(trees: list[Tree]) -> list[Tree]:
    """Keep trees of different models apart where they share set and id."""
    taken = Counter(tree.instruction for tree in trees)
    for tree in trees:
        if taken[tree.instruction] > 1:
            tree.set_name = f"{tree.set_name}_{tree.model}"
    repeated = [i for i, n in Counter(tree.instruction for tree in trees).items() if n > 1]
    if repeated:
        raise BadInput(f"Two trees have the same set, id and model: {', '.join(repeated)}.")
    return trees


def _write_trees(world: World, trees: list[Tree], imported: Imported) -> None:
    if not trees:
        return
    recordings = [recording for tree in trees for recording in tree.recordings()]
    if world.archive.is_sharded:
        take_in(world.path, "ToolBench", [], recordings, imported)
    else:
        _write_cassettes(world, recordings)
        imported.recordings += len(recordings)
    for model in sorted({tree.model for tree in trees}):
        answers = [c for tree in trees if tree.model == model for c in tree.completions()]
        write_completions(world.path / "completions" / f"{folder_name(model)}.jsonl", answers)
        imported.completions += len(answers)
    imported.trees = len(trees)


def _write_cassettes(world: World, recordings: list[Recording]) -> None:
    cassettes: dict[tuple[str, str], list[Recording]] = {}
    for recording in recordings:
        place = (recording.call.category, recording.call.tool)
        cassettes.setdefault(place, []).append(recording)
    for (category, tool), group in sorted(cassettes.items()):
        path = cassette_path(world.path, category, tool)
        ordered = sorted(group, key=lambda r: (standardise(r.call.api), r.instruction or ""))
        write_cassette(path, category, tool, ordered)


def _query_tools(queries: dict[Path, list[Json]]) -> Iterator[Tool]:
    """Give the documents in the API lists of queries."""
    for entry in (api for q in queries.values() for i in q for api in i.get("api_list", [])):
        if "method" in entry or "required_parameters" in entry:
            yield tool_of_entry(entry)


def _instructions(trees: list[Tree], queries: dict[Path, list[Json]]) -> dict[Path, list[Json]]:
    """Give the instruction files that trees and query files come to, by path in the world."""
    files: dict[Path, list[Json]] = {}
    folder = Path("instructions")
    if trees:
        files[folder / INSTRUCTIONS_FILE] = [tree.to_instruction() for tree in trees]
    stems = Counter(path.stem for path in queries)
    for path, entries in queries.items():
        alone = stems[path.stem] == 1 and path.name != INSTRUCTIONS_FILE
        name = path.name if alone else f"{path.resolve().parent.name}_{path.name}"
        files[folder / name] = entries
    return files


def _write_instructions(path: Path, instructions: list[Json]) -> None:
    write_whole(path, json.dumps(instructions, ensure_ascii=False, indent=1) + "\n")
