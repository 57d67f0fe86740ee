"""A model in a GGUF file, asked in process."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from sandbox.chat import (
    CONTEXT_FULL,
    NOTHING_SAID,
    Completion,
    CompletionRequest,
    Sampling,
)
from sandbox.errors import BadInput
from sandbox.llama.context import Context, Work, lane_bytes
from sandbox.llama.cut import cut
from sandbox.llama.files import model_name
from sandbox.llama.grammar import arguments_grammar, schema_grammar
from sandbox.llama.layout import CallFormat, layout_for
from sandbox.llama.weights import Weights
from sandbox.llama.writing import ContextRanOut, Heard, Writing, before

CONTEXT = 8192
"""Tokens that a prompt and its answer may have together."""

RESERVE = 256
"""Tokens beyond `max_tokens` that a prompt leaves free, for forced text and closing signs."""

CACHE = 1 << 29
"""Bytes that the cached prompts of a context may take."""

MOST_LANES = 16
"""Prompts that a context keeps at most."""

THOUGHT_SHARE = 0.5
"""The part of an answer's tokens that its thought may take."""

Part = Callable[[str, str], None]
"""Told of an answer as it is written: `content`, `name` or `arguments`, and the text."""


@dataclass(frozen=True)
class Speed:
    """What a model has done since it was opened.

    Attributes:
        work: tokens.
        seconds: time in which at least one answer was being made.
    """

    work: Work
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        """Tokens evaluated and written, per second."""
        tokens = self.work.read_tokens + self.work.written_tokens
        return tokens / self.seconds if self.seconds else 0.0


class LlamaModel:
    """Asks a GGUF file through llama.cpp; safe for threads.

    Several answers are made at once in contexts of their own, which share the weights and the
    cores. Answers are the same bytes whatever their number, and whatever was asked before. It
    pickles as its files: who unpickles it loads them.

    Args:
        path: the model.
        adapter: a LoRA adapter in GGUF, laid over it.
        layout: one of `sandbox.llama.layout.LAYOUTS`; for the default, see `layout_for` there.
        size: tokens that a prompt and its answer may have together; positions are interpolated
            where the model was trained on fewer.
        workers: answers that are asked for at once.
        threads: CPU threads in all; by default all cores.
        reuse: False to read every prompt whole.
        cache: bytes that a context's cached prompts may take.

    Raises:
        BadInput: a file cannot be loaded; says why.
    """

    def __init__(
        self,
        path: Path,
        adapter: Path | None = None,
        layout: str | None = None,
        size: int = CONTEXT,
        workers: int = 1,
        threads: int | None = None,
        reuse: bool = True,
        cache: int = CACHE,
    ) -> None:
        self._made_of = (path, adapter, layout, size, workers, threads, reuse, cache)
        self.name = model_name(path, adapter, layout)
        self.files = tuple(file for file in (path, adapter) if file is not None)
        self._weights = Weights(path, adapter)
        self._layout = layout_for(self._weights, layout)
        self._cores = threads or len(os.sched_getaffinity(0))
        self._size = size
        self._reuse = reuse
        self._lanes = min(max(cache // lane_bytes(self._weights, size), 1), MOST_LANES)
        self._most = min(workers, self._cores)
        self._contexts: list[Context] = []
        self._free: list[Context] = []
        self._changed = threading.Condition()
        self._busy_since = 0.0
        self._busy_seconds = 0.0

    def __reduce__(self) -> tuple[type["LlamaModel"], tuple[Any, ...]]:
        path, adapter, *settings = self._made_of
        files = (path.resolve(), adapter and adapter.resolve())
        return LlamaModel, (*files, *settings)

    def allow(self, workers: int) -> None:
        """Make room for so many answers at once, at most one a core; never for fewer."""
        with self._changed:
            self._most = max(self._most, min(workers, self._cores))

    @property
    def layout(self) -> str:
        """The name of the layout that conversations have."""
        return self._layout.name

    def complete(self, request: CompletionRequest) -> Completion:
        """Answer a request; where functions are offered, by calling one.

        A prompt that does not leave room for its answer is not cut: it is answered with the error
        code `CONTEXT_FULL`.
        """
        return self.answer(request)

    def answer(
        self,
        request: CompletionRequest,
        must_call: bool = True,
        stops: Sequence[str] = (),
        tell: Part | None = None,
    ) -> Completion:
        """Answer a request.

        Args:
            request: the request.
            must_call: where functions are offered, call one; otherwise words may do, in a layout
                that knows both.
            stops: further texts that end an answer in words.
            tell: told of the answer as it is written.

        Raises:
            BadInput: there is nothing to ask: the prompt is empty.
        """
        call = self._layout.call
        tokens = self.prompt(request, must_call)

        def write(writing: Writing) -> Completion:
            if request.functions:
                return _call(writing, request.functions, call, must_call, tell, self._stops(stops))
            said = _say(writing, request.schema, self._stops(stops), _to(tell, "content"))
            return Completion(said or None, error_code=0 if said else NOTHING_SAID)

        return self._written(tokens, request.sampling, request.instruction, write)

    def go_on(
        self,
        prompt: str,
        sampling: Sampling,
        stops: Sequence[str] = (),
        schema: dict[str, Any] | None = None,
        tell: Part | None = None,
    ) -> Completion:
        """Continue a text as it stands, without any layout.

        Raises:
            BadInput: the text is empty.
        """
        tokens = self._weights.tokens(prompt, opening=True)

        def write(writing: Writing) -> Completion:
            return Completion(_say(writing, schema, stops, _to(tell, "content")))

        return self._written(tokens, sampling, "", write)

    def prompt(self, request: CompletionRequest, must_call: bool = True) -> list[int]:
        """Give the tokens that a request is asked with."""
        layout = self._layout
        *pieces, last = cut(layout, request.messages, request.functions) or [""]
        if not request.functions:
            last += layout.call.answer or ""
        elif must_call and layout.call.thought_ends is None:
            last += layout.call.opening
        tokens: list[int] = []
        for piece in (*pieces, last):
            opening = not tokens and not layout.special
            tokens += self._weights.tokens(piece, opening, layout.special)
        return tokens

    def fits(self, tokens: Sequence[int], sampling: Sampling) -> bool:
        """Whether a prompt leaves room for its answer."""
        return len(tokens) + sampling.max_tokens + RESERVE <= self._size

    @property
    def lanes(self) -> int:
        """How many prompts each context keeps."""
        return self._lanes

    def speed(self) -> Speed:
        """Say what was done since the model was opened, and how fast."""
        with self._changed:
            work = Work(
                sum(context.work.prompt_tokens for context in self._contexts),
                sum(context.work.read_tokens for context in self._contexts),
                sum(context.work.written_tokens for context in self._contexts),
            )
            busy = len(self._free) < len(self._contexts)
            running = perf_counter() - self._busy_since if busy else 0.0
            return Speed(work, self._busy_seconds + running)

    def close(self) -> None:
        """Give the memory back."""
        for context in self._contexts:
            context.close()
        self._weights.close()

    def _stops(self, stops: Sequence[str]) -> tuple[str, ...]:
        return (*self._layout.stops, *stops)

    def _written(
        self,
        tokens: list[int],
        sampling: Sampling,
        owner: str,
        write: Callable[[Writing], Completion],
    ) -> Completion:
        if not self.fits(tokens, sampling):
            return Completion(None, error_code=CONTEXT_FULL, prompt_tokens=len(tokens))
        if not tokens:
            raise BadInput(f"Nothing to ask {self.name}: the prompt is empty.")
        with self._context_for(tokens) as context:
            lane = context.read(tokens, owner)
            writing = Writing(
                self._weights, context, lane, len(tokens), sampling, self._layout.special
            )
            try:
                completion = write(writing)
            except ContextRanOut:
                completion = Completion(None, error_code=CONTEXT_FULL)
        return replace(completion, prompt_tokens=len(tokens), completion_tokens=writing.written)

    @contextmanager
    def _context_for(self, tokens: list[int]) -> Iterator[Context]:
        """Take the free context that has read most of a prompt; wait where none is free."""
        with self._changed:
            if not self._free and len(self._contexts) < self._most:
                context = Context(self._weights, self._size, self._lanes, self._reuse)
                self._contexts.append(context)
                self._free.append(context)
            self._changed.wait_for(lambda: self._free)
            context = max(self._free, key=lambda c: c.prefixes.shared(tokens))
            if len(self._free) == len(self._contexts):
                self._busy_since = perf_counter()
            self._free.remove(context)
            context.take_threads(max(1, self._cores // self._most))
        try:
            yield context
        finally:
            with self._changed:
                self._free.append(context)
                if len(self._free) == len(self._contexts):
                    self._busy_seconds += perf_counter() - self._busy_since
                self._changed.notify()


def _to(tell: Part | None, part: str) -> Heard | None:
    return None if tell is None else lambda text: tell(part, text)


def _say(
    writing: Writing, schema: dict[str, Any] | None, stops: Sequence[str], heard: Heard | None
) -> str:
    """Answer in words, or in JSON that fits a schema."""
    if schema is not None:
        return writing.json(schema_grammar(schema), heard)
    return before(writing.freely(stops, heard=heard), stops)


def _call(
    writing: Writing,
    functions: Sequence[dict[str, Any]],
    form: CallFormat,
    must_call: bool,
    tell: Part | None,
    stops: Sequence[str],
) -> Completion:
    """Think where the layout has thoughts, then call a function; or answer in words."""
    content = None
    if form.thought_ends is not None:
        content, called = _think(writing, form, must_call, tell)
        if not called and not must_call:
            return Completion(content, error_code=0 if content else NOTHING_SAID)
    elif not must_call and _answers(writing, form):
        said = _say(writing, None, stops, _to(tell, "content")).strip()
        return Completion(said or None, error_code=0 if said else NOTHING_SAID)
    by_name = {function["name"]: function for function in functions}
    name = writing.one_of(list(by_name), form.middle[0])
    if tell is not None:
        tell("name", name)
    writing.force(form.middle[1:])
    arguments = writing.json(arguments_grammar(by_name[name]), _to(tell, "arguments"))
    return Completion(content, {"name": name, "arguments": arguments})


def _answers(writing: Writing, form: CallFormat) -> bool:
    """Let the model begin an answer in words or a call; says whether it is words."""
    begun = [form.opening, *([form.answer] if form.answer else [])]
    return writing.one_of(begun, "") == form.answer


def _think(
    writing: Writing, form: CallFormat, must_call: bool, tell: Part | None
) -> tuple[str | None, bool]:
    """Write a thought up to where a call begins; gives it, and whether the model began a call."""
    end = form.thought_ends or ""
    share = THOUGHT_SHARE if must_call else 1.0
    text = writing.freely([end], share, _to(tell, "content"))
    thought, found, rest = text.partition(end)
    if found or must_call:
        opening = form.opening[form.opening.index(end) :] if found else form.opening
        begun = found + rest
        writing.force(opening.removeprefix(begun))
    return thought.strip() or None, bool(found)
