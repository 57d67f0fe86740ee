"""The division of drafts into training and the six test settings."""

import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from sandbox.catalogue import Catalogue
from trainer.instructions.draft import Draft
from trainer.instructions.mentions import lowered
from trainer.instructions.reserved import Reserved, calls_from, runs_of
from trainer.instructions.split import HeldOut, Part

SETTINGS = ("I1-Inst", "I1-Tool", "I1-Cat", "I2-Inst", "I2-Cat", "I3-Inst")
"""The test settings of the paper (section 3.2)."""


@dataclass(frozen=True)
class Division:
    """Drafts, each in one place at most.

    Attributes:
        training: over tools that training may use, none near to a test.
        tests: by setting.
        left_out: how many have no place, by the reason.
    """

    training: list[Draft]
    tests: dict[str, list[Draft]]
    left_out: Counter[str]


def divide(
    drafts: Sequence[Draft],
    held_out: HeldOut,
    catalogue: Catalogue,
    share: float = 0.1,
    seed: int = 0,
) -> Division:
    """Divide drafts by instruction, tool and category.

    What offers a held-out tool or category is a test. Of the others, a share is drawn: each draw
    takes along those that share words or calls with it, until there are enough. What is left and
    shares something with a test has no place.

    Args:
        drafts: the drafts, of one kind or several.
        held_out: the tools and categories that only tests may use.
        catalogue: the documents, by which two calls are one.
        share: of the drafts over training tools, how many become tests.
        seed: of the draw.
    """
    tests: dict[str, list[Draft]] = {setting: [] for setting in SETTINGS}
    left_out: Counter[str] = Counter()
    by_kind: dict[str, list[Draft]] = defaultdict(list)
    for draft in drafts:
        part = part_of(draft, held_out)
        setting = f"{draft.sample.kind}-{part}"
        if part == "Inst":
            by_kind[draft.sample.kind].append(draft)
        elif setting in tests:
            tests[setting].append(draft)
        else:
            left_out[f"no setting {setting}"] += 1
    remaining: list[Draft] = []
    for kind, inside in sorted(by_kind.items()):
        drawn = _drawn(inside, catalogue, round(share * len(inside)), f"{seed}/{kind}")
        tests[f"{kind}-Inst"] = [inside[at] for at in sorted(drawn)]
        remaining += [draft for at, draft in enumerate(inside) if at not in drawn]
    reserved = Reserved(catalogue)
    for setting, asked in tests.items():
        for number, draft in enumerate(asked, start=1):
            reserved.add(f"{setting}/{number}", draft.query, calls_from(draft.calls))
    training = []
    for draft in remaining:
        near = reserved.near(draft.query, draft.relevant, calls_from(draft.calls))
        if near is None:
            training.append(draft)
        else:
            left_out[f"shares with a test: {near.shared}"] += 1
    return Division(training, {name: asked for name, asked in tests.items() if asked}, left_out)


def part_of(draft: Draft, held_out: HeldOut) -> Part:
    """Tell which part a draft belongs to: that of the tool which is held out furthest."""
    parts = {held_out.part(tool) for tool, _ in draft.sample.offered}
    return "Cat" if "Cat" in parts else "Tool" if "Tool" in parts else "Inst"


def _drawn(drafts: Sequence[Draft], catalogue: Catalogue, number: int, seed: str) -> set[int]:
    """Draw places of drafts, walking on to those that share something before drawing anew."""
    marks = [_marks(draft, catalogue) for draft in drafts]
    sharing: dict[Hashable, list[int]] = defaultdict(list)
    for at, own in enumerate(marks):
        for mark in own:
            sharing[mark].append(at)
    order = random.Random(seed).sample(range(len(drafts)), len(drafts))
    drawn: dict[int, None] = {}
    for start in order:
        queue = [start]
        while queue and len(drawn) < number:
            at = queue.pop(0)
            if at not in drawn:
                drawn[at] = None
                queue += [
                    other for mark in marks[at] for other in sharing.pop(mark, ()) if other != at
                ]
    return set(drawn)


def _marks(draft: Draft, catalogue: Catalogue) -> list[Hashable]:
    """Give what a draft must not share across the division, in a fixed order."""
    calls = [catalogue.key(call) for call in calls_from(draft.calls) if call.arguments]
    return [lowered(draft.query), *calls, *runs_of(draft.query)]
