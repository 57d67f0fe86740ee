"""Fidelity: how true simulated answers are, by leaving out recorded calls one at a time.

A call that is left out is simulated from what else is recorded, and the answer is compared with
the recorded one. What is left out is the call with all its recordings and, unless twins are kept,
every recording of the same API with an equal answer: it would give the answer away.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any, Literal

from eval.bootstrap import Mean, bootstrap_mean
from eval.likeness import Likeness, compare
from eval.statistics import Rate
from sandbox.executor import Executor, Opened, Threads, in_order
from sandbox.simulator import Question, Reply, Simulator
from sandbox.simulator.answer import Example
from sandbox.world import World

VALUE_TYPES = ("string", "number", "boolean", "null")
"""The JSON types by which the agreement of values is reported."""

OVERALL = "overall"
"""The name of the line over all calls."""

WITH_NEIGHBOURS = "with neighbours"
"""The name of the line over the calls whose API has other answered recordings."""

Grouping = Literal["category", "tool"]
"""What a line of the report stands for."""

Way = Callable[[Question], Reply | None]
"""A way to answer a question; None is no answer."""


@dataclass(frozen=True)
class Trial:
    """A recorded call that is left out.

    Attributes:
        held_out: the call and its answer.
        question: the call with what is left to answer it by.
        recordings: all recordings of its API.
    """

    held_out: Example
    question: Question
    recordings: Sequence[Example]


@dataclass(frozen=True)
class Result:
    """A trial, and what came of it.

    Attributes:
        trial: the trial.
        way: the name of the way that answered.
        by: the engine that the answer really comes from; empty where there is none.
        likeness: how alike the answer is to the recorded one.
    """

    trial: Trial
    way: str
    by: str
    likeness: Likeness


@dataclass(frozen=True)
class Fidelity:
    """The figures of one way over one group of calls.

    Attributes:
        group: the group's name.
        way: the way's name.
        calls: calls that were left out.
        by: calls by the engine that their answer comes from.
        valid: share that is JSON.
        conforms: share that fits the schema of all recordings.
        precision: mean share of simulated keys that are real.
        recall: mean share of real keys that are simulated.
        f1: mean of the calls' F1 of keys.
        values: by JSON type, mean share of values that are equal.
        length: median of simulated over recorded length.
        agrees: share in which both answer or both refuse.
    """

    group: str
    way: str
    calls: int
    by: dict[str, int]
    valid: Rate
    conforms: Rate
    precision: Mean
    recall: Mean
    f1: Mean
    values: dict[str, Mean]
    length: float | None
    agrees: Rate

    def to_json(self) -> dict[str, Any]:
        """Give all figures for `--json`."""
        return {
            "group": self.group,
            "engine": self.way,
            "calls": self.calls,
            "answered_by": self.by,
            "valid_json": self.valid.to_json(),
            "schema_conformance": self.conforms.to_json(),
            "key_precision": self.precision.to_json(),
            "key_recall": self.recall.to_json(),
            "key_f1": self.f1.to_json(),
            "value_agreement": {kind: mean.to_json() for kind, mean in self.values.items()},
            "length_ratio_median": None if self.length is None else round(self.length, 6),
            "outcome_agreement": self.agrees.to_json(),
        }


def trials(world: World, simulator: Simulator, keep_twins: bool = False) -> list[Trial]:
    """List the calls to leave out: each recorded call once, if its answer is whole.

    Args:
        world: the world.
        simulator: gathers what is recorded beside each call.
        keep_twins: keep recordings with an equal answer.
    """
    found = []
    for tool, api in world.catalogue.apis():
        recordings: list[Example] = []
        seen: set[str] = set()
        for recording in world.store.of_api(tool.name, api.name, tool.category):
            if isinstance(recording.call.arguments, str):
                continue
            question = simulator.question(tool, api, recording.call)
            recordings = recordings or list(question.examples)
            held_out = next(e for e in recordings if e.key == question.key)
            if held_out.key not in seen and held_out.answer.whole:
                found.append(_trial(held_out, question, recordings, keep_twins))
            seen.add(held_out.key)
    return found


def sampled(found: Sequence[Trial], size: int, seed: int, per: Grouping | None) -> list[Trial]:
    """Take trials at random, and leave them in their order.

    Args:
        found: all trials.
        size: how many to take.
        seed: seeds the choice.
        per: take so many of each category, or of each tool; None takes so many in all. What is
            taken of one group does not depend on the others.
    """
    groups: dict[str, list[int]] = {}
    for place, trial in enumerate(found):
        groups.setdefault(group_of(trial, per) if per else "", []).append(place)
    chosen: list[int] = []
    for name, places in groups.items():
        draw = random.Random(f"{seed} {name}" if per else seed)
        chosen += draw.sample(places, min(size, len(places)))
    return [found[place] for place in sorted(chosen)]


def group_of(trial: Trial, grouping: Grouping) -> str:
    """Name the group that a trial belongs to."""
    tool = trial.question.tool
    return tool.category if grouping == "category" else tool.name


def measure(
    tried: Sequence[Trial],
    name: str,
    way: Way,
    workers: int = 1,
    executor: Executor | None = None,
    opened: Opened[Question, Reply | None] | None = None,
) -> Iterator[Result]:
    """Answer each call that was left out.

    Args:
        tried: the trials.
        name: what to call the way.
        way: answers.
        workers: calls to answer at once.
        executor: who answers them; by default `workers` threads.
        opened: opens the way in another process, for an executor that needs that.

    Yields:
        A result per trial, in their order.
    """
    questions = [trial.question for trial in tried]
    answering = (executor or Threads(workers)).run(questions, way, opened)
    for trial, reply in zip(tried, in_order(answering), strict=True):
        yield _result(trial, name, reply)


def _result(trial: Trial, name: str, reply: Reply | None) -> Result:
    recorded, answer = trial.held_out.answer, reply.answer if reply else None
    likeness = compare(recorded, answer, trial.recordings)
    return Result(trial, name, reply.engine if reply else "", likeness)


def report(results: Sequence[Result], grouping: Grouping = "category") -> list[Fidelity]:
    """Give the figures per group and way; last those over calls with neighbours, and over all."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((group_of(result.trial, grouping), result.way), []).append(result)
    for result in results:
        if result.trial.question.answered:
            groups.setdefault((WITH_NEIGHBOURS, result.way), []).append(result)
    for result in results:
        groups.setdefault((OVERALL, result.way), []).append(result)
    names = list(dict.fromkeys(group for group, _ in groups))
    ways = list(dict.fromkeys(way for _, way in groups))
    names.sort(key=lambda name: (name == OVERALL, name == WITH_NEIGHBOURS))
    return [_fidelity(n, w, groups[n, w]) for n in names for w in ways if (n, w) in groups]


def _trial(
    held_out: Example, question: Question, recordings: Sequence[Example], keep_twins: bool
) -> Trial:
    left = [
        e
        for e in recordings
        if e.key != held_out.key and (keep_twins or e.answer != held_out.answer)
    ]
    return Trial(held_out, replace(question, examples=left), recordings)


def _fidelity(group: str, way: str, results: Sequence[Result]) -> Fidelity:
    def mean(measure: Callable[[Likeness], float | None]) -> Mean:
        values = [(_api(r), measure(r.likeness)) for r in results]
        return bootstrap_mean([(api, value) for api, value in values if value is not None])

    def rate(measure: Callable[[Likeness], bool]) -> Rate:
        return Rate(sum(measure(r.likeness) for r in results), len(results))

    lengths = [r.likeness.length for r in results if r.likeness.length is not None]
    by = [r.by or "nobody" for r in results]
    return Fidelity(
        group,
        way,
        len(results),
        {name: by.count(name) for name in sorted(set(by))},
        rate(lambda one: one.valid),
        rate(lambda one: one.conforms),
        mean(lambda one: one.precision),
        mean(lambda one: one.recall),
        mean(lambda one: one.f1),
        {kind: mean(partial(_agreement, kind)) for kind in VALUE_TYPES},
        median(lengths) if lengths else None,
        rate(lambda one: one.agrees),
    )


def _agreement(kind: str, one: Likeness) -> float | None:
    return one.values.get(kind)


def _api(result: Result) -> str:
    question = result.trial.question
    return f"{question.tool.category}/{question.tool.name}/{question.api.name}"
