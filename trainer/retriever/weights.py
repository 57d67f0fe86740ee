"""The weights of the evidence: fitted where the encoder has not been trained.

On its own training queries an encoder looks better than it is, so weights that were fitted there
would trust it too much. They are fitted in two steps: with the untrained encoder on all queries,
then with the trained one on the held-out queries, near the first ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from solver.retriever.collection import Collection
from solver.retriever.evidence import KINDS, gather
from solver.retriever.retriever import Retriever

_LOOSE = 1e-3
"""How strongly the first weights are held to 0."""

_TIGHT = 1e-2
"""How strongly the second ones are held to the first."""


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
    if not collection.queries:
        return []
    requests = retriever.read([query.text for query in collection.queries])
    found = []
    for query, request in zip(collection.queries, requests, strict=True):
        evidence = gather(retriever.index, request)
        relevant = np.isin(evidence.candidates, query.relevant)
        if relevant.any():
            found.append(Judged(torch.from_numpy(evidence.columns), torch.from_numpy(relevant)))
    return found


def fit_first(queries: Sequence[Judged]) -> dict[str, float]:
    """Fit weights to the evidence of an encoder that was not trained on these queries."""
    return _fit(queries, torch.zeros(len(KINDS)), _LOOSE)


def refit(queries: Sequence[Judged], first: dict[str, float]) -> dict[str, float]:
    """Fit weights to the evidence of another encoder on few queries, near the first weights."""
    return _fit(queries, torch.tensor([first[kind] for kind in KINDS]), _TIGHT)


def _fit(queries: Sequence[Judged], near: torch.Tensor, hold: float) -> dict[str, float]:
    """Minimise the mean over the queries of the relevant candidates' negative log softmax."""
    weights = near.clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        total = hold * ((weights - near) ** 2).sum()
        for query in queries:
            chances = torch.log_softmax(query.columns @ weights, 0)
            total = total - chances[query.relevant].mean() / len(queries)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    if queries:
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    return {kind: round(float(w), 6) for kind, w in zip(KINDS, weights.detach(), strict=True)}
