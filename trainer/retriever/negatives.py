"""Hard negatives: documents that a query does not need, though much speaks for them."""

from collections import defaultdict
from dataclasses import dataclass

from solver.retriever.bm25 import Bm25
from solver.retriever.collection import Collection
from solver.retriever.evidence import best

NEAR_MISSES = 12
"""How many of BM25's best wrong documents there are to choose from."""


@dataclass(frozen=True)
class Negatives:
    """Documents that one query does not need, by number.

    Attributes:
        siblings: APIs of the tools that it needs.
        near_misses: those with the most of its words.
    """

    siblings: list[int]
    near_misses: list[int]


def mine(collection: Collection) -> list[Negatives]:
    """Find hard negatives for each query of a collection, in its order."""
    by_tool: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, document in enumerate(collection.documents):
        by_tool[document.category, document.tool].append(number)
    words = Bm25.build([document.terms for document in collection.documents])
    found = []
    for query in collection.queries:
        relevant = set(query.relevant)
        siblings = {n for tool in collection.tools_of(query) for n in by_tool[tool]}
        near = best(words.scores(query.text), NEAR_MISSES + len(siblings) + len(relevant))
        misses = [int(n) for n in near if int(n) not in relevant | siblings]
        found.append(Negatives(sorted(siblings - relevant), misses[:NEAR_MISSES]))
    return found
