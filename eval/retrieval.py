"""Measuring retrieval: NDCG, recall and reciprocal rank, with intervals."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from eval.bootstrap import Mean, bootstrap_mean
from solver.retriever.bm25 import Bm25, plain_words
from solver.retriever.collection import Collection, Query
from solver.retriever.document import toolbench_text
from solver.retriever.evidence import CANDIDATES, best
from solver.retriever.retriever import Retriever, Way

CUTS = (1, 3, 5)
"""Ranks at which NDCG is given."""

DEPTH = CANDIDATES
"""Documents of a ranking that are looked at: as many as a search gathers, so it is the same."""

OVERALL = "all"
BASELINE = "BM25, ToolBench's documents"
"""BM25 as bm25s has it by default, over the text that ToolBench's retriever reads."""

Ranking = list[int]
"""Numbers of documents, best first."""


def ndcg(ranking: Sequence[int], relevant: Sequence[int], cut: int) -> float:
    """Give the normalised discounted cumulative gain with relevance 0 or 1.

    Args:
        ranking: numbers of documents, best first.
        relevant: those that are relevant; at least one.
        cut: ranks that count.
    """
    wanted = set(relevant)
    gain = sum(1 / math.log2(rank + 2) for rank, n in enumerate(ranking[:cut]) if n in wanted)
    return gain / sum(1 / math.log2(rank + 2) for rank in range(min(cut, len(wanted))))


def recall(ranking: Sequence[int], relevant: Sequence[int], cut: int) -> float:
    """Give the share of the relevant documents among the first ones."""
    return len(set(ranking[:cut]) & set(relevant)) / len(set(relevant))


def reciprocal_rank(ranking: Sequence[int], relevant: Sequence[int]) -> float:
    """Give 1 over the rank of the first relevant document; 0 where there is none."""
    wanted = set(relevant)
    return next((1 / rank for rank, n in enumerate(ranking, start=1) if n in wanted), 0.0)


METRICS: dict[str, Callable[[Sequence[int], Sequence[int]], float]] = {
    **{f"NDCG@{cut}": partial(ndcg, cut=cut) for cut in CUTS},
    "recall@5": partial(recall, cut=5),
    "MRR": reciprocal_rank,
}
"""The figures, each from a ranking and what is relevant."""


@dataclass(frozen=True)
class Line:
    """The figures of one way to rank, for queries of one kind.

    Attributes:
        way: how was ranked.
        kind: I1, I2, I3, another set's name, or all.
        figures: by their names, from 0 to 1.
        gain: NDCG@5 less the baseline's, on the same queries: from -1 to 1.
    """

    way: str
    kind: str
    figures: dict[str, Mean]
    gain: Mean

    def to_json(self) -> dict[str, Any]:
        """Give the figures with their intervals."""
        means = {name: mean.to_json() for name, mean in self.figures.items()}
        return {"way": self.way, "kind": self.kind, **means, "over_bm25": self.gain.to_json()}


def rankings(
    retriever: Retriever, collection: Collection, ways: Sequence[Way]
) -> dict[str, list[Ranking]]:
    """Rank a collection's documents for each of its queries, by each way and by the baseline.

    Args:
        retriever: over the collection's documents.
        collection: documents and queries.
        ways: how to rank.

    Returns:
        By the way's name, a ranking per query.
    """
    number = {id(document): n for n, document in enumerate(retriever.index.documents)}
    requests = retriever.read([query.text for query in collection.queries])
    found: dict[str, list[Ranking]] = {BASELINE: baseline(collection)}
    for way in ways:
        found[way] = [
            [number[id(f.document)] for f in retriever.rank(request, DEPTH, way)]
            for request in requests
        ]
    return found


def baseline(collection: Collection) -> list[Ranking]:
    """Rank by BM25 over ToolBench's documents, without anything of ours."""
    index = Bm25.build([toolbench_text(*pair) for pair in collection.apis], plain_words)
    return [best(index.scores(query.text), DEPTH).tolist() for query in collection.queries]


def measure(
    queries: Sequence[Query], groups: Sequence[str], found: dict[str, list[Ranking]]
) -> list[Line]:
    """Measure rankings, per kind of query and over all.

    Args:
        queries: what was asked.
        groups: which queries are alike; intervals come from drawing whole groups.
        found: by the way's name, a ranking per query; the baseline among them.

    Returns:
        A line per way and kind, overall last.
    """
    kinds = [*sorted({query.kind for query in queries}), OVERALL]
    five = {
        way: [ndcg(r, q.relevant, 5) for r, q in zip(ranked, queries, strict=True)]
        for way, ranked in found.items()
    }
    lines = []
    for kind in kinds:
        rows = [n for n, query in enumerate(queries) if kind in (query.kind, OVERALL)]
        for way, ranked in found.items():
            figures = {
                name: bootstrap_mean(
                    [(groups[n], metric(ranked[n], queries[n].relevant)) for n in rows]
                )
                for name, metric in METRICS.items()
            }
            gains = [(groups[n], five[way][n] - five[BASELINE][n]) for n in rows]
            lines.append(Line(way, kind, figures, bootstrap_mean(gains)))
    return lines
