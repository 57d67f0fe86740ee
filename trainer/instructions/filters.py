"""Filters: which drafts become instructions, and why the others do not."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from rapidfuzz import fuzz
from rensa import RMinHash, RMinHashLSH

from sandbox.call import ApiCall
from sandbox.names import standardise
from sandbox.tool import Api, Parameter, Tool
from sandbox.world import World
from trainer.instructions.draft import Draft
from trainer.instructions.mentions import lowered, words_of
from trainer.instructions.needs import lacking
from trainer.instructions.reserved import Reserved, calls_from, read_tests

Reason = Literal[
    "relevant API not offered",
    "too few relevant APIs",
    "relevant APIs of one tool",
    "a required value is lacking",
    "duplicate",
    "near-duplicate",
    "near a test",
]
"""Why a draft is dropped; the first that holds counts."""

NEAR = 85.0
"""Likeness of two texts (`rapidfuzz.fuzz.ratio`, of 100) from which they are near-duplicates."""

PERMUTATIONS, BANDS = 126, 42
"""Of MinHash: of pairs that share half of their two-word runs, 996 of 1,000 are compared."""


class Filters:
    """Judges drafts one by one; what was kept counts against what comes later.

    Args:
        world: its documents and recordings, and its test instructions, below `instructions/`.
        least: the fewest relevant APIs.
    """

    def __init__(self, world: World, least: int = 2) -> None:
        self._world = world
        self._least = least
        self._reserved = Reserved.of(read_tests(world.path), world.catalogue)
        self._kept = _Kept(world)
        self.dropped: Counter[Reason] = Counter()
        self._recorded = lru_cache(maxsize=None)(self._recorded_values)

    def keep(self, draft: Draft) -> bool:
        """Tell whether a draft is kept; else its reason is counted."""
        reason = self._fault(draft) if draft.solvable else None
        reason = reason or self._kept.same(draft) or self._nearness(draft)
        if reason is None:
            self._kept.add(draft)
            return True
        self.dropped[reason] += 1
        return False

    def _fault(self, draft: Draft) -> Reason | None:
        """Find what is wrong with a draft in itself."""
        offered = {
            (standardise(t.name), standardise(a.name)): (t, a) for t, a in draft.sample.offered
        }
        named = [(standardise(tool), standardise(api)) for tool, api in draft.relevant]
        if any(name not in offered for name in named):
            return "relevant API not offered"
        if len(set(named)) < self._least:
            return "too few relevant APIs"
        if draft.sample.kind != "I1" and len({tool for tool, _ in named}) < 2:
            return "relevant APIs of one tool"
        relevant = [offered[name] for name in dict.fromkeys(named)]
        if not draft.calls and lacking(draft.query, relevant, self.known_values):
            return "a required value is lacking"
        return None

    def _nearness(self, draft: Draft) -> Reason | None:
        found = self._reserved.near(draft.query, draft.relevant, calls_from(draft.calls))
        return "near a test" if found else None

    def known_values(self, tool: Tool, api: Api, parameter: Parameter) -> Sequence[str]:
        """Give the values that are documented or recorded for a parameter, as texts."""
        documented = (parameter.model_extra or {}).get("enum") or []
        values = [parameter.default, *(documented if isinstance(documented, list) else [])]
        recorded = self._recorded(tool.name, api.name).get(parameter.name, ())
        return [str(value) for value in values if value not in (None, "")] + list(recorded)

    def _recorded_values(self, tool: str, api: str) -> dict[str, tuple[str, ...]]:
        """Give the texts that are recorded for each parameter of an API."""
        found: dict[str, dict[str, None]] = {}
        for recording in self._world.store.of_api(tool, api):
            arguments = recording.call.arguments
            for name, value in arguments.items() if isinstance(arguments, dict) else ():
                if isinstance(value, str):
                    found.setdefault(name, {})[value] = None
        return {name: tuple(values) for name, values in found.items()}


class _Kept:
    """What was kept so far, indexed by its words.

    Where two drafts know their calls, they are near-duplicates only if those are the same: one
    wording with other arguments asks something else.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._queries: set[str] = set()
        self._drafts: list[tuple[str, frozenset[str]]] = []
        self._index = RMinHashLSH(threshold=0.5, num_perm=PERMUTATIONS, num_bands=BANDS)

    def add(self, draft: Draft) -> None:
        """Keep a draft."""
        said = lowered(draft.query)
        self._queries.add(said)
        self._index.insert(len(self._drafts), _sketch(said))
        self._drafts.append((said, self._calls(draft)))

    def same(self, draft: Draft) -> Reason | None:
        """Tell whether a draft says what another did."""
        said = lowered(draft.query)
        if said in self._queries:
            return "duplicate"
        calls = self._calls(draft)
        for place in self._index.query(_sketch(said)):
            other, others = self._drafts[place]
            alike = calls == others or not (calls and others)
            if alike and fuzz.ratio(said, other, score_cutoff=NEAR):
                return "near-duplicate"
        return None

    def _calls(self, draft: Draft) -> frozenset[str]:
        calls: list[ApiCall] = calls_from(draft.calls)
        return frozenset(map(self._world.key, calls))


def _sketch(said: str) -> RMinHash:
    words = words_of(said)
    sketch = RMinHash(num_perm=PERMUTATIONS, seed=0)
    sketch.update([" ".join(words[at : at + 2]) for at in range(max(1, len(words) - 1))])
    return sketch
