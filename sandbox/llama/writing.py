"""Writing one answer: free text, one of several names, JSON by a grammar, and forced text."""

import codecs
import json
from collections.abc import Callable, Sequence

from sandbox.chat import Sampling
from sandbox.llama.context import Context
from sandbox.llama.grammar import Guide, choice_grammar
from sandbox.llama.pick import Picker
from sandbox.llama.weights import Weights

Heard = Callable[[str], None]
"""Told of text as it is written."""


class ContextRanOut(Exception):
    """An answer does not fit into the context."""


class Writing:
    """An answer on its way.

    Args:
        weights: the model.
        context: where its prompt was read.
        lane: the prompt's lane.
        position: the prompt's length in tokens.
        sampling: how tokens are drawn. `max_tokens` bounds what is drawn freely: beyond it, JSON
            is closed as soon as its grammar allows, so that it is always whole.
        special: whether control tokens count as text.
    """

    def __init__(
        self,
        weights: Weights,
        context: Context,
        lane: int,
        position: int,
        sampling: Sampling,
        special: bool,
    ) -> None:
        self._weights = weights
        self._context = context
        self._lane = lane
        self._position = position
        self._picker = Picker(weights, sampling)
        self._limit = sampling.max_tokens
        self._special = special
        self._pending: list[int] = []
        self._drawn = 0
        self.written = 0

    @property
    def spent(self) -> bool:
        """Whether all tokens that may be drawn freely are drawn."""
        return self._drawn >= self._limit

    def force(self, text: str) -> None:
        """Write a text as if the model had."""
        tokens = self._weights.tokens(text, special=self._special) if text else []
        self._pending += tokens
        self._picker.note(tokens)
        self.written += len(tokens)

    def freely(self, stops: Sequence[str], share: float = 1.0, heard: Heard | None = None) -> str:
        """Let the model write until it ends its turn, writes a stop, or has used up its share.

        Args:
            stops: texts that end it; they are part of what is returned.
            share: of the tokens that may be drawn.
            heard: told of the text before the stops.
        """
        text = _Text(stops, heard)
        limit = int(self._limit * share)
        while self._drawn < limit and not text.stopped:
            token = self._draw(None)
            if self._weights.is_end(token):
                break
            self._take(token)
            text.add(self._weights.piece(token, self._special))
        text.end()
        return text.whole

    def one_of(self, choices: Sequence[str], end: str) -> str:
        """Let the model write one of several texts, and its end sign; gives it without the sign."""
        goals = {choice + end for choice in choices}
        text = _Text((), None)
        self._guided(choice_grammar(list(choices), end), text, goals.__contains__)
        return text.whole[: len(text.whole) - len(end)]

    def json(self, grammar: str, heard: Heard | None = None) -> str:
        """Let the model write JSON that a grammar allows; it is always whole."""
        text = _Text((), heard)
        self._guided(grammar, text, _is_whole, closing=True)
        text.end()
        return text.whole.strip()

    def _guided(
        self, grammar: str, text: "_Text", whole: Callable[[str], bool], closing: bool = False
    ) -> None:
        """Let the model write what a grammar allows, until it is whole."""
        guide = Guide(self._weights, grammar)
        try:
            while not whole(text.whole):
                token = self._draw(guide, text.whole if closing else None)
                if self._weights.is_end(token):
                    break
                guide.accept(token)
                self._take(token)
                text.add(self._weights.piece(token))
        finally:
            guide.close()

    def _draw(self, guide: Guide | None, closing: str | None = None) -> int:
        """Draw the next token, after all that is pending was read."""
        if self._position + len(self._pending) >= self._context.size:
            raise ContextRanOut
        if self._pending:
            self._context.write(self._pending, self._position, self._lane)
            self._position += len(self._pending)
            self._pending = []
        logits = self._context.logits()
        self._drawn += 1
        return self._picker.pick(logits, guide, closing if self._drawn > self._limit else None)

    def _take(self, token: int) -> None:
        self._pending.append(token)
        self.written += 1


class _Text:
    """Bytes on their way to text; what may be the beginning of a stop is held back."""

    def __init__(self, stops: Sequence[str], heard: Heard | None) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = [stop for stop in stops if stop]
        self._back = max((len(stop) - 1 for stop in self._stops), default=0)
        self._heard = heard
        self._told = 0
        self.whole = ""
        self.stopped = False

    def add(self, piece: bytes) -> None:
        self.whole += self._decoder.decode(piece)
        places = [place for stop in self._stops if (place := self.whole.find(stop)) >= 0]
        self.stopped = bool(places)
        self._tell(min(places) if places else len(self.whole) - self._back)

    def end(self) -> None:
        self.whole += self._decoder.decode(b"", final=True)
        if not self.stopped:
            self._tell(len(self.whole))

    def _tell(self, end: int) -> None:
        if self._heard is not None and end > self._told:
            self._heard(self.whole[self._told : end])
            self._told = end


def before(text: str, stops: Sequence[str]) -> str:
    """Cut a text at the first of several stops."""
    return text[: min((p for s in stops if s and (p := text.find(s)) >= 0), default=len(text))]


def _is_whole(text: str) -> bool:
    """Whether a text is JSON that nothing could be added to."""
    if not text.rstrip().endswith(("}", "]", '"')):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
