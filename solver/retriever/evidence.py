"""Evidence: what speaks for each candidate, and the weights that make one score of it.

A request is compared with each candidate whole and in parts, by vectors and by words; and with the
best candidates of the same tool and of the category's other tools, since an API is more likely when
its neighbours fit as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from solver.retriever.index import Index

CANDIDATES = 50
"""Documents that vectors propose per part, and words in all."""

_KINDS = ("whole", "part", "terms", "names")
KINDS = (
    *_KINDS,
    *(f"tool's {kind}" for kind in _KINDS),
    *(f"category's {kind}" for kind in _KINDS),
    "lead",
)
"""What the columns of evidence are: cosines with the request and with its nearest part; BM25 on all
words and on names, as a share of the request's highest; the highest of these four among the tool's
candidates, and among those of the category's other tools (0: there are none); and how far the
candidate is from leading for a part (0: it is a part's nearest).
"""

_SCALES = np.array([10, 10, 5, 5], dtype=np.float32)
_LEAD_SCALE = 10
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
    asked = index.terms.cut(request.text)
    terms, names = index.terms.scores_of(asked), index.names.scores_of(asked)
    proposed = [index.nearest(request.vectors, count).ravel(), best(terms, count)]
    candidates = np.unique(np.concatenate(proposed))
    cosines = index.vectors[candidates] @ request.vectors.T
    parts = cosines[:, min(1, cosines.shape[1] - 1) :]
    lead = (parts - parts.max(0)).max(1, keepdims=True) * _LEAD_SCALE
    words = [scores[candidates] / max(float(scores.max()), 1e-6) for scores in (terms, names)]
    own = np.stack([cosines[:, 0], parts.max(1), *words], axis=1).astype(np.float32) * _SCALES
    neighbours = _of_neighbours(index.tools[candidates], index.categories[candidates], own)
    return Evidence(candidates, np.concatenate([own, neighbours, lead], axis=1))


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


def _of_neighbours(tools: np.ndarray, categories: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Give each candidate the highest evidence of its tool, then of its category's other tools.

    Args:
        tools: the number of each candidate's tool, as the index numbers them: (candidates,).
        categories: the number of its category: (candidates,).
        own: the evidence: (candidates, kinds).

    Returns:
        (candidates, twice the kinds).
    """
    order = np.argsort(tools, kind="stable")
    ranked = tools[order]
    starts = np.flatnonzero(_changes(ranked))
    highest = np.maximum.reduceat(own[order], starts, axis=0)
    others = _of_other_tools(categories[order[starts]], highest)
    return np.concatenate([highest, others], axis=1)[np.searchsorted(ranked[starts], tools)]


def _of_other_tools(categories: np.ndarray, tools: np.ndarray) -> np.ndarray:
    """Give each tool the highest evidence among its category's other tools; 0 where it has none.

    That is the category's highest; for the one tool that has it, the second.

    Args:
        categories: the number of each tool's category, ascending: (tools,).
        tools: the evidence of each: (tools, kinds).
    """
    changes = _changes(categories)
    starts, places = np.flatnonzero(changes), np.cumsum(changes) - 1
    highest = np.maximum.reduceat(tools, starts, axis=0)
    leading = tools == highest[places]
    second = np.maximum.reduceat(np.where(leading, -np.inf, tools), starts, axis=0)
    shared = np.add.reduceat(leading, starts, axis=0, dtype=np.intp) > 1
    second = np.where(shared, highest, second)
    others = np.where(leading, second[places], highest[places])
    return np.where(np.isneginf(others), 0, others)


def _changes(numbers: np.ndarray) -> np.ndarray:
    """Tell of each number whether it differs from the one before; the first does."""
    return np.concatenate([[True], numbers[1:] != numbers[:-1]])
