"""Models that answer from the tape: with a client behind it that fills it, or alone."""

from sandbox.chat import ChatModel, Completion, CompletionRequest
from sandbox.completions import CompletionTape
from sandbox.errors import BadInput, UnrecordedCompletion
from sandbox.recorded_completion import RecordedCompletion


class RecordingModel:
    """Answers from the tape; what is not there is asked of the client and put there."""

    def __init__(self, client: ChatModel, tape: CompletionTape) -> None:
        self.name = client.name
        self._client = client
        self._tape = tape

    def complete(self, request: CompletionRequest) -> Completion:
        """Answer from the tape, or ask the client and record what it says.

        Where another process asked the same meanwhile, the answer that was recorded first counts.
        """
        recorded = self._tape.find(self.name, request)
        if recorded is not None:
            return recorded
        completion = self._client.complete(request)
        self._tape.add(
            RecordedCompletion(
                self.name, request.key(self.name), request.instruction, request.order, completion
            )
        )
        return self._tape.find(self.name, request) or completion


class RecordedModel:
    """Answers from the tape and from nothing else.

    Args:
        tape: the world's completions.
        name: the model whose completions are meant. Without it, each instruction takes the one
            model that answered for it.

    Raises:
        BadInput: the tape has no completions at all, or none of the model that was named.
    """

    def __init__(self, tape: CompletionTape, name: str | None = None) -> None:
        if not tape.models or (name is not None and name not in tape.models):
            raise BadInput(
                f"No recorded completions of {name or 'any model'}: this world has those of "
                f"{', '.join(tape.models) or 'none'}. Record some with --model openai:NAME or "
                f"llama:FILE."
            )
        self._model = name or (tape.models[0] if len(tape.models) == 1 else None)
        self.name = self._model or "recorded"
        self._tape = tape

    def complete(self, request: CompletionRequest) -> Completion:
        """Answer from the tape.

        Raises:
            BadInput: several models answered for the instruction, and none was named.
            UnrecordedCompletion: the request was never recorded; names the instruction.
        """
        model = self._model or self._model_of(request.instruction)
        recorded = self._tape.find(model, request)
        if recorded is None:
            raise UnrecordedCompletion(
                f"Instruction {request.instruction}, model call {request.order + 1}: no completion "
                f"of {model} is recorded for this prompt. Search with the settings that were "
                f"recorded (--method, --max-calls, --max-tokens, --temperature, --seed), or record "
                f"it with the model itself: toolreplay solve ... --model "
                f"openai:{model} (or llama:{model})"
            )
        return recorded

    def _model_of(self, instruction: str) -> str:
        models = self._tape.models_of(instruction)
        if len(models) > 1:
            raise BadInput(
                f"Instruction {instruction} was answered by {', '.join(models)}: name one of them, "
                f"as in --model recorded:{models[0]}"
            )
        return models[0] if models else "any model"
