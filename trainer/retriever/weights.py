"""The weights of the evidence, fitted while the encoder is untrained.

On its own training queries an encoder looks better than it is, so weights that were fitted there
would trust it too much. Fitting them on queries that are kept from it is no better: on ToolBench's
data, by cross-validation on such queries, the weights of the untrained encoder fit as well as any.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from solver.retriever.collection import Collection
from solver.retriever.evidence import KINDS, gather
from solver.retriever.retriever import Retriever

_HOLD = 1e-3
"""How strongly weights are held to 0."""


@dataclass(frozen=True)
class Judged:
    """The evidence for one query's candidates, and which of them it needs.

    Attributes:
        columns: (candidates, kinds).
        relevant: (candidates,).
    """

    columns: torch.Tensor
    relevant: torch.Tensor


def judged(retriever: Retriever, collection: Collection) -> list[Judged]:
    """Gather the evidence for all queries of a collection that a retriever's index holds.

    Queries of which no relevant document is a candidate are left out.
    """
    requests = retriever.read([query.text for query in collection.queries])
    found = []
    for query, request in zip(collection.queries, requests, strict=True):
        evidence = gather(retriever.index, request)
        relevant = np.isin(evidence.candidates, query.relevant)
        if relevant.any():
            found.append(Judged(torch.from_numpy(evidence.columns), torch.from_numpy(relevant)))
    return found


def fit_weights(queries: Sequence[Judged]) -> dict[str, float]:
    """Fit weights: minimise the mean negative log softmax of the relevant candidates' scores."""
    weights = torch.zeros(len(KINDS), requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        total = _HOLD * (weights**2).sum()
        for query in queries:
            chances = torch.log_softmax(query.columns @ weights, 0)
            total = total - chances[query.relevant].mean() / len(queries)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return {kind: round(float(w), 6) for kind, w in zip(KINDS, weights.detach(), strict=True)}
