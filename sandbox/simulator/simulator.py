"""The simulator: answers a world's unseen calls, once and for all."""

import hashlib
import json
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from sandbox.call import ApiCall, canonical_arguments
from sandbox.cassette import Recording
from sandbox.completions import CompletionTape
from sandbox.secrets import Redactor, secret_values
from sandbox.simulator.answer import Example, example_of
from sandbox.simulator.checks import fault_of, refusal, unknown_api
from sandbox.simulator.engine import Engine, Exchange, Question, Reply
from sandbox.simulator.simulation import SIMULATOR_RULE, Identity, Simulated, Simulation
from sandbox.tool import Api, Tool

if TYPE_CHECKING:
    from sandbox.world import World

CHECKS = "checks"
"""What stands as the engine of an answer to a bad call."""

TOOLS_KEPT = 64
"""Tools whose recordings are kept in memory."""


class Simulator:
    """Answers calls that were not recorded, and keeps the answers; safe for threads.

    It pickles as what it was made of: who unpickles it opens the world anew.

    Args:
        world: the world.
        engine: answers calls that are well-formed.
        state: show the engine what was said before for the same instruction; the history is then
            part of a call's identity.
        hosts: hosts that the engine's model is reached at.
        completions: the tape of the engine's model.

    Attributes:
        outdated: kept answers that are to be made anew; each leaves the set when it was.
    """

    def __init__(
        self,
        world: "World",
        engine: Engine,
        state: bool = False,
        hosts: Sequence[str] = (),
        completions: CompletionTape | None = None,
    ) -> None:
        self.state = state
        self.hosts = tuple(hosts)
        self.outdated: set[Identity] = set()
        self._world = world
        self._engine = engine
        self._completions = completions
        self._locks: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._lock = threading.Lock()
        self._examples = lru_cache(maxsize=TOOLS_KEPT)(self._read_examples)

    def __reduce__(self) -> tuple[type["Simulator"], tuple[Any, ...]]:
        return Simulator, (self._world, self._engine, self.state, self.hosts, self._completions)

    def __str__(self) -> str:
        model = f" {self._engine.model}" if self._engine.model else ""
        state = ", with what was said before" if self.state else ""
        return f"the engine {self._engine.name}{model}{state}"

    @property
    def simulation(self) -> Simulation:
        """Where the answers are kept."""
        return self._world.simulation

    def tidy(self) -> None:
        """Sort what was written, so that it does not depend on who was first."""
        self.simulation.tidy()
        if self._completions is not None:
            self._completions.tidy()

    def about(self) -> dict[str, Any]:
        """Name what shapes the answers: engine, model, rule and state."""
        return {
            "engine": self._engine.name,
            "model": self._engine.model,
            "rule": SIMULATOR_RULE,
            "state": self.state,
        }

    def answer(self, call: ApiCall, history: Sequence[Exchange] = ()) -> Recording:
        """Answer a call, from the tape where it was simulated before.

        Args:
            call: the call; its arguments are an object.
            history: what was said before by the same tool; not used without state.

        Raises:
            ModelFailed: the engine's model could not be asked.
        """
        found = self._world.catalogue.find(call.tool, call.api, call.category)
        if found is None:
            return unknown_api(call).recording(call, None)
        tool, api = found
        said = list(history) if self.state else []
        simulated = self._simulated(tool, api, call, said)
        return simulated.reply.answer.recording(simulated.call, api)

    def question(
        self, tool: Tool, api: Api, call: ApiCall, history: Sequence[Exchange] = ()
    ) -> Question:
        """Gather all that is known to answer a call by."""
        arguments = canonical_arguments(call.arguments, api)
        examples = self._examples(tool.category, tool.name)
        return Question(
            tool,
            api,
            call,
            arguments if isinstance(arguments, dict) else {},
            _identity(self._world.key(call), history_hash(history)),
            [e for e in examples if e.api is api],
            [e for e in examples if e.api is not api],
            history,
        )

    def reply(self, question: Question) -> Reply:
        """Answer a call anew: a bad one by rule, any other by the engine."""
        fault = fault_of(question)
        if fault is not None:
            return Reply(refusal(question, fault), CHECKS)
        return self._engine.answer(question)

    def _simulated(
        self, tool: Tool, api: Api, call: ApiCall, history: Sequence[Exchange]
    ) -> Simulated:
        key, before = self._world.key(call), history_hash(history)
        clean = Redactor(given=secret_values(call.arguments)).value(call.arguments)
        own = ApiCall(tool.category, tool.name, api.name, clean)
        with self._lock:
            lock = self._locks.setdefault(_identity(key, before), threading.Lock())
        with lock:
            there = self.simulation.find(own, key, before)
            outdated = (key, before) in self.outdated
            if there is not None and not outdated:
                return there
            reply = self.reply(self.question(tool, api, own, history))
            put = self.simulation.replace if outdated else self.simulation.add
            kept = put(Simulated(key, own, reply, before))
            self.outdated.discard((key, before))
            return kept

    def _read_examples(self, category: str, tool: str) -> list[Example]:
        found = []
        for owner in self._world.catalogue:
            if (owner.category, owner.name) == (category, tool):
                for api in owner.api_list:
                    for recording in self._world.store.of_api(tool, api.name, category):
                        key = self._world.key(recording.call)
                        found.append(example_of(recording, api, key))
        return found


def history_hash(history: Sequence[Exchange]) -> str:
    """Give the identity of what was said before; empty where nothing was."""
    if not history:
        return ""
    said = [[e.api, e.arguments, e.answer] for e in history]
    text = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _identity(key: str, history: str) -> str:
    return hashlib.sha256(f"{key} {history}".encode()).hexdigest() if history else key
