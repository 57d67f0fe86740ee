"""Evidence: what speaks for each candidate, and the weights that make one score of it.

A request is compared with each candidate whole and in parts, by vectors and by words; and with the
best candidate of the same tool, since an API is more likely when its neighbours fit as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from solver.retriever.index import Index

CANDIDATES = 100
"""Documents that vectors propose per part, and words in all."""

_KINDS = ("whole", "part", "terms", "names")
KINDS = (*_KINDS, *(f"tool's {kind}" for kind in _KINDS))
"""What the columns of evidence are: cosines with the request and with its nearest part, BM25 on all
words and on names (as a share of the request's highest), and the highest of the tool's candidates.
"""

_SCALES = np.array([10, 10, 5, 5], dtype=np.float32)
"""Bring the columns to one size, so that weights are of one size too."""


@dataclass(frozen=True)
class Request:
    """A request, encoded.

    Attributes:
        text: the request.
        vectors: of the whole, then of its parts: (1 + parts, dimensions).
    """

    text: str
    vectors: np.ndarray


@dataclass(frozen=True)
class Evidence:
    """What speaks for the candidates of one request.

    Attributes:
        candidates: numbers of documents, ascending.
        columns: (candidates, kinds), in the order of KINDS.
    """

    candidates: np.ndarray
    columns: np.ndarray

    def scores(self, weights: Mapping[str, float]) -> np.ndarray:
        """Weigh the evidence: a score per candidate."""
        return np.asarray(self.columns @ np.array([weights[kind] for kind in KINDS], np.float32))


def gather(index: Index, request: Request, count: int = CANDIDATES) -> Evidence:
    """Find candidates by vectors and by words, and the evidence for each.

    Args:
        index: the documents.
        request: the request.
        count: candidates that each side proposes.
    """
    terms, names = index.terms.scores(request.text), index.names.scores(request.text)
    proposed = [index.nearest(request.vectors, count).ravel(), best(terms, count)]
    candidates = np.unique(np.concatenate(proposed))
    cosines = index.vectors[candidates] @ request.vectors.T
    part = cosines[:, 1:].max(1) if cosines.shape[1] > 1 else cosines[:, 0]
    words = [scores[candidates] / max(float(scores.max()), 1e-6) for scores in (terms, names)]
    own = np.stack([cosines[:, 0], part, *words], axis=1).astype(np.float32) * _SCALES
    return Evidence(candidates, np.concatenate([own, _of_tools(index.tools[candidates], own)], 1))


def best(scores: np.ndarray, count: int) -> np.ndarray:
    """Give the numbers of the highest scores above 0, highest first; the first of equal ones first.

    Args:
        scores: (documents,).
        count: how many.
    """
    if len(scores) > count:
        least = np.partition(scores, -count)[-count]
        numbers = np.flatnonzero(scores >= max(float(least), 1e-9))
    else:
        numbers = np.flatnonzero(scores > 0)
    return numbers[np.argsort(-scores[numbers], kind="stable")][:count]


def _of_tools(tools: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Give each candidate the highest evidence among its tool's candidates."""
    _, numbers = np.unique(tools, return_inverse=True)
    highest = np.full((int(numbers.max()) + 1, own.shape[1]), -np.inf, dtype=np.float32)
    np.maximum.at(highest, numbers, own)
    return highest[numbers]
