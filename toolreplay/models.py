"""Models by their names, each behind the recorder of a world."""

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sandbox.chat import ChatModel
from sandbox.completions import CompletionTape
from sandbox.errors import BadInput
from sandbox.llama.files import ModelSpec, sha256
from sandbox.openai_model import ObservationRole, OpenAIModel
from sandbox.recorded_model import RecordedModel, RecordingModel

if TYPE_CHECKING:
    from sandbox.llama.model import LlamaModel


MODELS = ("recorded", "recorded:NAME", "openai:NAME", "llama:FILE")
"""How models are named."""


def open_model(
    name: str,
    tape: CompletionTape,
    base_url: str | None = None,
    observation_role: ObservationRole = "tool",
    workers: int = 1,
    others: Sequence[str] = (),
) -> tuple[ChatModel, list[str]]:
    """Open a model by its name.

    Args:
        name: `recorded`, `recorded:NAME`, `openai:NAME` or `llama:FILE[+ADAPTER][@LAYOUT]`.
        tape: keeps the model's answers.
        base_url: the address of the model's server, for `openai:NAME`.
        observation_role: how that server is sent observations.
        workers: answers that are asked for at once.
        others: names that would have done here as well.

    Returns:
        The model, and the hosts that it must reach.

    Raises:
        BadInput: no model is named so, or nothing is recorded of it.
    """
    kind, _, rest = name.partition(":")
    if kind == "recorded":
        return RecordedModel(tape, rest or None), []
    if kind == "openai" and rest:
        client = OpenAIModel(rest, base_url, observation_role)
        return RecordingModel(client, tape), [client.host]
    if kind == "llama" and rest:
        local = open_local(rest, workers)
        tape.claim(local.name, [sha256(file) for file in local.files])
        return RecordingModel(local, tape), []
    raise BadInput(f"No model {name!r}: take {', '.join((*others, *MODELS))}.")


def open_local(spec: str, workers: int = 1) -> "LlamaModel":
    """Open a GGUF file in process, without a tape; it is loaded once, whoever asks it.

    Args:
        spec: `FILE[+ADAPTER][@LAYOUT]`, or the name of a model that was pulled.
        workers: answers that are asked for at once.

    Raises:
        BadInput: there is no such file, or llama.cpp is not installed.
    """
    found = ModelSpec.parse(spec)
    require_llama()
    model = _loaded(found)
    model.allow(workers)
    return model


def require_llama() -> None:
    """Check that llama.cpp is installed.

    Raises:
        BadInput: it is not; says how to install it.
    """
    if find_spec("llama_cpp") is None:
        raise BadInput('llama.cpp is not installed: pip install "toolreplay[local]"')


def require_retrieval() -> None:
    """Check that what the retriever needs is installed.

    Raises:
        BadInput: it is not; says how to install it.
    """
    for module in ("bm25s", "hnswlib", "py3langid", "Stemmer", "torch", "transformers"):
        if find_spec(module) is None:
            raise BadInput(
                f"{module} is not installed, which retrieval needs: pip install "
                f'"toolreplay[retrieval]"'
            )


@lru_cache(maxsize=4)
def _loaded(spec: ModelSpec) -> "LlamaModel":
    from sandbox.llama.model import LlamaModel

    return LlamaModel(spec.path, spec.adapter, spec.layout)
