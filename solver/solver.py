"""The solver: one instruction after another, each by itself."""

import json
import sys
from dataclasses import dataclass, field
from typing import Any

from sandbox.chat import ChatModel
from sandbox.errors import BadInput
from sandbox.instruction import Instruction
from sandbox.response import OBSERVATION_LIMIT
from sandbox.tool import Api, Tool
from sandbox.world import World
from solver.compression import Compressor
from solver.environment import Environment
from solver.method import Method
from solver.search import Drawing


@dataclass(frozen=True)
class Settings:
    """What a run is made with; equal settings in equal worlds give equal bytes.

    Attributes:
        method: how to search; None takes each instruction's own recorded bounds.
        drawing: how completions are drawn.
        observation_limit: characters of an observation that the model is shown.
        strict: stop at the first call that is not recorded.
        compress: shorten long API answers to the fields that the model names for their API.
        retrieval: how the APIs were retrieved, where the instructions did not name them.
    """

    method: Method | None
    drawing: Drawing = field(default_factory=Drawing)
    observation_limit: int = OBSERVATION_LIMIT
    strict: bool = False
    compress: bool = False
    retrieval: dict[str, Any] | None = None


class Solver:
    """Solves instructions; safe for threads.

    Args:
        world: the world that answers.
        model: decides.
        settings: how to search.
    """

    def __init__(self, world: World, model: ChatModel, settings: Settings) -> None:
        self._world = world
        self._model = model
        self._settings = settings
        self._compressor = Compressor(model) if settings.compress else None

    def method(self, instruction: Instruction) -> Method:
        """Give the method that an instruction is solved by."""
        return self._settings.method or Method.as_recorded(instruction)

    def apis(self, instruction: Instruction) -> list[tuple[Tool, Api]]:
        """Give the APIs that an instruction offers, from the world's documents.

        Raises:
            BadInput: it offers none, or one without a document.
        """
        found = []
        for entry in instruction.api_list:
            names = (entry["tool_name"], entry["api_name"], entry.get("category_name", ""))
            api = self._world.catalogue.find(*names)
            if api is None:
                raise BadInput(
                    f"Instruction {instruction.id} offers the API {names[1]!r} of the tool "
                    f"{names[0]!r}, which {self._world.path} has no document of."
                )
            found.append(api)
        if not found:
            raise BadInput(f"Instruction {instruction.id} offers no APIs: its api_list is empty.")
        return found

    def answer(self, instruction: Instruction) -> str:
        """Solve an instruction.

        Returns:
            The text of its answer file, in ToolBench's format.
        """
        as_recorded = self._settings.method is None
        environment = Environment(
            self.apis(instruction),
            self._world.session(instruction.id),
            sys.maxsize if as_recorded else self._settings.observation_limit,
            self._settings.strict,
            self._compressor,
        )
        method = self.method(instruction)
        answer = method.solve(instruction, self._model, environment, self._settings.drawing)
        return json.dumps(answer, ensure_ascii=False, indent=1) + "\n"
