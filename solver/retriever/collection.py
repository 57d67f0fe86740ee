"""Collections: documents, requests, and which documents each request needs.

They are read from ToolBench's query files, from worlds, and from the files of ToolBench's retriever
(`corpus.tsv`, `train.query.txt`, `qrels.train.tsv`, and the same for test); those are written, too.
"""

import csv
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from sandbox.catalogue import Catalogue, tool_of_entry
from sandbox.errors import BadInput
from sandbox.instruction import Instruction, read_instructions
from sandbox.tool import Api, Tool
from solver.retriever.document import Document, write_document

Part = Literal["train", "test"]
"""Which half of ToolBench's retrieval files is meant."""

CORPUS = "corpus.tsv"


@dataclass(frozen=True)
class Query:
    """A request with the documents that it needs.

    Attributes:
        id: its set and its query id.
        set_name: the set.
        text: the request.
        relevant: numbers of documents in the collection, ascending; never empty.
    """

    id: str
    set_name: str
    text: str
    relevant: tuple[int, ...]

    @property
    def kind(self) -> str:
        """I1, I2 or I3 where the set's name begins so or with G1, G2, G3; else the set's name."""
        known = self.set_name[:1] in "GI" and self.set_name[1:2] in tuple("123")
        return f"I{self.set_name[1]}" if known else self.set_name


@dataclass
class Collection:
    """Documents and queries.

    Attributes:
        apis: the APIs, each with its tool.
        documents: the same APIs as text, in the same order.
        queries: what is asked.
        dropped: queries without a relevant API that is documented.
    """

    apis: list[tuple[Tool, Api]]
    queries: list[Query]
    dropped: int = 0
    documents: list[Document] = field(init=False)

    def __post_init__(self) -> None:
        self.documents = [write_document(tool, api) for tool, api in self.apis]

    def tools_of(self, query: Query) -> set[tuple[str, str]]:
        """Name the tools of a query's relevant documents: category and tool."""
        return {self._tool(number) for number in query.relevant}

    def _tool(self, number: int) -> tuple[str, str]:
        document = self.documents[number]
        return document.category, document.tool

    def hold_out(self, share: float, seed: int) -> tuple["Collection", "Collection"]:
        """Split by tool: no tool that the second part asks for is in the first in any role.

        Queries that share a tool, directly or through others, stay together; a group that would
        make the second part half as large again as wanted stays in the first.

        Args:
            share: of the queries that go into the second part.
            seed: which groups of queries go there.

        Returns:
            The first part, without all documents of the second one's tools; and the second part,
            with all documents.
        """
        groups = self.groups()
        ranked = sorted(set(groups), key=lambda g: hashlib.sha256(f"{seed}/{g}".encode()).digest())
        size = Counter(groups)
        wanted, chosen, count = share * len(self.queries), set(), 0
        for group in ranked:
            if count < wanted and count + size[group] <= max(1, 1.5 * wanted):
                chosen.add(group)
                count += size[group]
        return self.split([group in chosen for group in groups])

    def split(self, held_out: Sequence[bool]) -> tuple["Collection", "Collection"]:
        """Split by a choice of queries; see `hold_out`.

        Queries that are not chosen, yet need a tool of a chosen one, are in neither part.
        """
        pairs = list(zip(self.queries, held_out, strict=True))
        second = [query for query, chosen in pairs if chosen]
        unseen = {tool for query in second for tool in self.tools_of(query)}
        first = [q for q, chosen in pairs if not chosen and not self.tools_of(q) & unseen]
        kept = [n for n in range(len(self.apis)) if self._tool(n) not in unseen]
        number = {old: new for new, old in enumerate(kept)}
        moved = [replace(q, relevant=tuple(number[n] for n in q.relevant)) for q in first]
        return (
            Collection([self.apis[n] for n in kept], moved),
            Collection(self.apis, second),
        )

    def groups(self) -> list[str]:
        """Name each query's group: queries that share a tool, directly or through others."""
        parent: dict[str, str] = {}

        def root(name: str) -> str:
            while parent.setdefault(name, name) != name:
                name = parent[name]
            return name

        tools = [sorted("/".join(t) for t in self.tools_of(query)) for query in self.queries]
        for names in tools:
            for name in names[1:]:
                low, high = sorted((root(names[0]), root(name)))
                parent[high] = low
        return [root(names[0]) for names in tools]

    @property
    def hash(self) -> str:
        """Changes with anything of the collection."""
        content = [
            [d.hash for d in self.documents],
            [[q.id, q.text, q.relevant] for q in self.queries],
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def read_collection(
    paths: Sequence[Path], part: Part = "test", corpus: Sequence[Path] = ()
) -> Collection:
    """Read query files, folders of them, worlds, and folders of ToolBench's retrieval files.

    Args:
        paths: what to read; all of it becomes one collection.
        part: which queries to take of ToolBench's retrieval files.
        corpus: the same kinds of files, of which the documents alone are taken.

    Raises:
        BadInput: something is missing or broken, or no query has a relevant API.
    """
    catalogue = Catalogue()
    asked: list[_Asked] = []
    for path in paths:
        asked.extend(_read(path, catalogue, part))
    for path in corpus:
        list(_read(path, catalogue, part))
    apis = list(catalogue.apis())
    number = {id(api): n for n, (_, api) in enumerate(apis)}
    queries: dict[str, Query] = {}
    dropped = 0
    for one in asked:
        found = (catalogue.find(*names) for names in one.relevant)
        relevant = sorted({number[id(f[1])] for f in found if f is not None})
        if not relevant:
            dropped += 1
        elif one.id in queries:
            raise BadInput(f"Two queries have the id {one.id}: read them apart.")
        else:
            queries[one.id] = Query(one.id, one.set_name, one.text, tuple(relevant))
    if not queries:
        raise BadInput(
            f"No query in {', '.join(map(str, paths))} names relevant APIs that are documented: "
            f"each needs 'relevant APIs', and an api_list that describes them."
        )
    return Collection(apis, list(queries.values()), dropped)


@dataclass(frozen=True)
class _Asked:
    """A query whose relevant APIs are names: tool, API and, where known, category."""

    id: str
    set_name: str
    text: str
    relevant: list[tuple[str, str, str]]


def _read(path: Path, catalogue: Catalogue, part: Part) -> Iterator[_Asked]:
    """Read one path: its documents into the catalogue, its queries are given."""
    if (path / CORPUS).is_file():
        yield from _read_toolbench(path, catalogue, part)
        return
    world = (path / "world.json").is_file()
    if world:
        for tool in Catalogue.read(path / "tools"):
            catalogue.add(tool)
    folder = path / "instructions" if world else path
    files = sorted(folder.glob("*.json")) if folder.is_dir() else [folder]
    for instruction in (i for file in files for i in read_instructions(file)):
        if instruction.relevant_apis:
            yield _asked(instruction, catalogue, described=not world)


def _asked(instruction: Instruction, catalogue: Catalogue, described: bool) -> _Asked:
    """Take an instruction; its api_list describes APIs where no world does."""
    categories = {}
    for entry in instruction.api_list:
        tool = tool_of_entry(entry)
        categories[tool.name, tool.api_list[0].name] = tool.category
        if described:
            catalogue.add(tool)
    relevant = [
        (names[-2], names[-1], categories.get((names[-2], names[-1]), ""))
        for names in instruction.relevant_apis
        if len(names) >= 2
    ]
    return _Asked(instruction.id, instruction.set_name, instruction.query, relevant)


def _read_toolbench(folder: Path, catalogue: Catalogue, part: Part) -> Iterator[_Asked]:
    documents: dict[str, tuple[str, str, str]] = {}
    for row in _rows(folder / CORPUS, 2)[1:]:
        try:
            tool = tool_of_entry(json.loads(row[1]))
        except ValueError as error:
            raise BadInput(
                f"{folder / CORPUS}: document {row[0]} is not JSON ({error})."
            ) from error
        catalogue.add(tool)
        documents[row[0]] = (tool.name, tool.api_list[0].name, tool.category)
    needed: dict[str, list[tuple[str, str, str]]] = {}
    for query, _, document, label in _rows(folder / f"qrels.{part}.tsv", 4):
        if document not in documents:
            raise BadInput(f"{folder}/qrels.{part}.tsv: {CORPUS} has no document {document}.")
        if label.strip() != "0":
            needed.setdefault(query, []).append(documents[document])
    for query, text in dict(_rows(folder / f"{part}.query.txt", 2)).items():
        named = query if "/" in query else f"{folder.name}/{query}"
        yield _Asked(named, named.rpartition("/")[0], text, needed.get(query, []))


def _rows(path: Path, columns: int) -> list[list[str]]:
    csv.field_size_limit(sys.maxsize)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file, delimiter="\t") if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: cannot be read ({error}).") from error
    for number, row in enumerate(rows, start=1):
        if len(row) != columns:
            raise BadInput(f"{path}, row {number}: {len(row)} columns, not {columns}.")
    return rows


def write_toolbench(folder: Path, train: Collection | None, test: Collection) -> None:
    """Write the files that ToolBench's retriever trains and tests with.

    Args:
        folder: gets `corpus.tsv`, and for each part queries and labels.
        train: what to train on; its documents are among the others.
        test: what to test on, with all documents. Queries keep their ids, in which their sets are
            named; ToolBench's own are numbers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = {(d.tool, d.api, d.category): n for n, d in enumerate(test.documents, start=1)}
    corpus = [[str(n), json.dumps(_entry(*pair))] for n, pair in enumerate(test.apis, start=1)]
    _write(folder / CORPUS, [["docid", "document_content"], *corpus])
    for part, collection in (("train", train), ("test", test)):
        if collection is None:
            continue
        _write(folder / f"{part}.query.txt", ([q.id, q.text] for q in collection.queries))
        labels = (
            [q.id, "0", str(number[d.tool, d.api, d.category]), "1"]
            for q in collection.queries
            for d in (collection.documents[r] for r in q.relevant)
        )
        _write(folder / f"qrels.{part}.tsv", labels)


def _write(path: Path, rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows(rows)


def _entry(tool: Tool, api: Api) -> dict[str, Any]:
    """Write an API as an entry of ToolBench's api_list."""
    entry = {
        "category_name": tool.category,
        "tool_name": tool.name,
        "api_name": api.name,
        "api_description": api.description or "",
        "required_parameters": [p.to_json() for p in api.required_parameters],
        "optional_parameters": [p.to_json() for p in api.optional_parameters],
        "method": api.method,
    }
    return entry | {"template_response": api.template_response} if api.template_response else entry
