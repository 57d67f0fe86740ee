"""toolreplay: ToolLLM on tape.

The names that a user imports; each loads what it needs when it is first used.
"""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eval.evaluation import evaluate as evaluate
    from sandbox.call import ApiCall as ApiCall
    from sandbox.world import World as World
    from toolreplay.solving import solve as solve

__version__ = importlib.metadata.version("toolreplay")

__all__ = ["ApiCall", "World", "__version__", "evaluate", "solve"]

_HOMES = {
    "ApiCall": "sandbox.call",
    "World": "sandbox.world",
    "evaluate": "eval.evaluation",
    "solve": "toolreplay.solving",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
