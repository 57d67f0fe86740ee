"""The index: documents, their vectors in a graph, and their words.

It lies in a world's folder `retrieval/`, holds nothing that cannot be made again, and says what it
was made of. When the catalogue has changed, the vectors of unchanged documents are kept.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from math import isqrt
from pathlib import Path
from typing import Any, Literal

import hnswlib
import numpy as np
from filelock import FileLock

from sandbox.errors import BadInput
from solver.retriever.bm25 import Bm25
from solver.retriever.document import Document
from solver.retriever.encoder import Encoder

FORMAT = 1
"""Version of the folder's layout."""

FOLDER = "retrieval"
"""Where an index lies in its world."""

_LINKS = 16
_EFFORT = 100
_SEARCH = 64
"""Nodes that a search keeps in view at least; half the root of the documents where that is more."""

State = Literal["as it was", "built", "updated"]
Advance = Callable[[int, int], None]
"""Told how many documents were encoded, and of how many."""


class Index:
    """Documents that can be searched by vectors and by words.

    Args:
        documents: the documents.
        vectors: of length 1, one per document: (documents, dimensions), float32.
        encoder_hash: identity of the encoder that made them.
        graph: the vectors' graph; built where it is not given.
        terms: the index of all words.
        names: the index of the words of tools' and APIs' names.
    """

    def __init__(
        self,
        documents: Sequence[Document],
        vectors: np.ndarray,
        encoder_hash: str,
        graph: hnswlib.Index | None = None,
        terms: Bm25 | None = None,
        names: Bm25 | None = None,
    ) -> None:
        self.documents = list(documents)
        self.vectors = vectors
        self.encoder_hash = encoder_hash
        self._graph = graph
        self.terms = terms or Bm25.build([d.terms for d in self.documents])
        self.names = names or Bm25.build([d.names for d in self.documents])

    @classmethod
    def build(
        cls,
        documents: Sequence[Document],
        encoder: Encoder,
        known: Mapping[str, np.ndarray] | None = None,
        advance: Advance = lambda done, of: None,
    ) -> "Index":
        """Encode and index documents.

        Args:
            documents: the documents.
            encoder: encodes them.
            known: vectors of documents by their hashes, from the same encoder.
            advance: told of the progress.
        """
        known = known or {}
        new = [d for d in documents if d.hash not in known]
        done = 0

        def advanced(count: int) -> None:
            nonlocal done
            done += count
            advance(done, len(new))

        made = encoder.encode([d.text for d in new], fast=True, advance=advanced)
        fresh = {d.hash: vector for d, vector in zip(new, made, strict=True)}
        vectors = np.stack([known[d.hash] if d.hash in known else fresh[d.hash] for d in documents])
        return cls(documents, vectors, encoder.hash)

    @cached_property
    def graph(self) -> hnswlib.Index:
        """The vectors' graph (HNSW), the same every time: one thread, a fixed seed."""
        if self._graph is None:
            self._graph = hnswlib.Index("ip", self.vectors.shape[1])
            self._graph.init_index(len(self.documents), _EFFORT, _LINKS, random_seed=0)
            self._graph.add_items(self.vectors, num_threads=1)
        self._graph.set_num_threads(1)
        return self._graph

    @cached_property
    def tools(self) -> np.ndarray:
        """The number of each document's tool, in the order of the categories: (documents,)."""
        return _numbered([(document.category, document.tool) for document in self.documents])

    @cached_property
    def categories(self) -> np.ndarray:
        """The number of each document's category: (documents,)."""
        return _numbered([document.category for document in self.documents])

    @cached_property
    def hashes(self) -> list[str]:
        """Identities of the documents."""
        return [document.hash for document in self.documents]

    def nearest(self, vectors: np.ndarray, count: int) -> np.ndarray:
        """Find the documents nearest to each vector.

        Returns:
            Their numbers: (vectors, count), nearest first.
        """
        count = min(count, len(self.documents))
        self.graph.set_ef(max(_SEARCH, isqrt(len(self.documents)) // 2, count))
        numbers, _ = self.graph.knn_query(vectors, count, num_threads=1)
        return np.asarray(numbers, dtype=np.int64)

    def save(self, folder: Path) -> None:
        """Write the index, in place of the one before."""
        unfinished = folder.parent / f".{folder.name}.part"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        self.terms.save(unfinished / "terms")
        self.names.save(unfinished / "names")
        np.save(unfinished / "vectors.npy", self.vectors, allow_pickle=False)
        self.graph.save_index(str(unfinished / "vectors.hnsw"))
        about = {
            "format": FORMAT,
            "encoder": self.encoder_hash,
            "documents": [asdict(document) for document in self.documents],
        }
        text = json.dumps(about, ensure_ascii=False, indent=0)
        (unfinished / "index.json").write_text(text + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.replace(folder)

    @classmethod
    def load(cls, folder: Path) -> "Index":
        """Read an index.

        Raises:
            BadInput: there is none, or it is damaged.
        """
        about = _read_about(folder)
        try:
            documents = [Document(**entry) for entry in about["documents"]]
            vectors = np.load(folder / "vectors.npy", allow_pickle=False)
            graph = hnswlib.Index("ip", vectors.shape[1])
            graph.load_index(str(folder / "vectors.hnsw"), max_elements=len(documents))
            if not len(documents) == len(vectors) == graph.get_current_count():
                raise ValueError("its parts are of different lengths")
        except (OSError, ValueError, KeyError, TypeError, IndexError, RuntimeError) as error:
            raise BadInput(f"{folder}: a damaged index ({error}): delete the folder.") from error
        terms, names = Bm25.load(folder / "terms"), Bm25.load(folder / "names")
        return cls(documents, vectors, about["encoder"], graph, terms, names)


def open_index(
    world: Path,
    documents: Sequence[Document],
    encoder: Encoder,
    advance: Advance = lambda done, of: None,
) -> tuple[Index, State]:
    """Open a world's index; make it, or bring it up to date, where it is missing or older.

    Args:
        world: the world's directory.
        documents: those of its catalogue as it is now.
        encoder: encodes what is new.
        advance: told of the progress.

    Returns:
        An index of exactly these documents by this encoder, and what was done.

    Raises:
        BadInput: the index is damaged.
    """
    folder = world / FOLDER
    with FileLock(world / ".retrieval.lock"):
        before = Index.load(folder) if folder.exists() else None
        same = before is not None and before.encoder_hash == encoder.hash
        hashes = [document.hash for document in documents]
        if before is not None and same and before.hashes == hashes:
            return before, "as it was"
        known = dict(zip(before.hashes, before.vectors, strict=True)) if before and same else {}
        index = Index.build(documents, encoder, known, advance)
        index.save(folder)
        return index, "updated" if before else "built"


def _numbered(names: Sequence[Any]) -> np.ndarray:
    """Number names in their order; equal ones have one number."""
    numbers = {name: number for number, name in enumerate(sorted(set(names)))}
    return np.array([numbers[name] for name in names])


def _read_about(folder: Path) -> dict[str, Any]:
    path = folder / "index.json"
    try:
        about = json.loads(path.read_bytes())
        version = about["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: a damaged index ({error}): delete the folder.") from error
    if version != FORMAT:
        raise BadInput(f"{folder}: an index of format {version}, not {FORMAT}: delete the folder.")
    return dict(about)
