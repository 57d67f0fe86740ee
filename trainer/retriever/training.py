"""Training a bi-encoder with in-batch and hard negatives (section 2.3 of the paper)."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from solver.retriever.collection import Collection
from solver.retriever.encoder import REQUEST_TOKENS, Encoder
from solver.retriever.request import parts_of
from trainer.checkpoint import State
from trainer.retriever.negatives import mine
from trainer.retriever.top import Top

LONGEST_GRADIENT = 1.0


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        epochs: how often to go through the queries.
        batch: queries of one update.
        siblings: APIs of the right tools, for each query, that are not right.
        near_misses: BM25's near misses for each query.
        temperature: what cosines are divided by.
        learning_rate: at its highest.
        warm_up: share of the steps in which it rises; then it falls in a line.
        layers: trained, from the last one; the others stay as they are.
        document_tokens: read of a document while training.
        seed: of everything that is drawn.
    """

    epochs: int = 5
    batch: int = 16
    siblings: int = 3
    near_misses: int = 3
    temperature: float = 0.05
    learning_rate: float = 5e-5
    warm_up: float = 0.1
    layers: int = 3
    document_tokens: int = 96
    seed: int = 0

    def rate(self, step: int, steps: int) -> float:
        """Give the learning rate of a step, counted from 0."""
        rising = math.ceil(self.warm_up * steps)
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        return self.learning_rate * (steps - step) / max(1, steps - rising)


@dataclass(frozen=True)
class Step:
    """A step that was made.

    Attributes:
        number: from 1.
        of: steps in all.
        losses: so far.
        seconds: spent so far.
    """

    number: int
    of: int
    losses: list[float]
    seconds: float


@dataclass(frozen=True)
class Update:
    """What one update is made of, by number.

    Attributes:
        queries: of the collection.
        documents: all that the update's queries are compared with.
    """

    queries: list[int]
    documents: list[int]


def plan(collection: Collection, settings: Settings) -> list[Update]:
    """Draw all updates; the same for equal collections and settings."""
    negatives = mine(collection)
    draw = random.Random(settings.seed)
    updates = []
    for _ in range(settings.epochs):
        order = list(range(len(collection.queries)))
        draw.shuffle(order)
        for start in range(0, len(order), settings.batch):
            queries = order[start : start + settings.batch]
            documents: dict[int, None] = {}
            for number in queries:
                hard = negatives[number]
                siblings = draw.sample(hard.siblings, min(settings.siblings, len(hard.siblings)))
                misses = hard.near_misses
                near = draw.sample(misses, min(settings.near_misses, len(misses)))
                wanted = (*collection.queries[number].relevant, *siblings, *near)
                documents.update(dict.fromkeys(wanted))
            updates.append(Update(queries, list(documents)))
    return updates


def train(
    encoder: Encoder,
    collection: Collection,
    settings: Settings,
    out: Path,
    checkpoint_every: int,
    on_step: Callable[[Step], None],
) -> Step:
    """Train an encoder in place.

    Args:
        encoder: the base.
        collection: what to train on.
        settings: how.
        out: has the checkpoint, from which it goes on.
        checkpoint_every: steps between two checkpoints.
        on_step: told of each step.

    Returns:
        The last step.

    Raises:
        BadInput: the checkpoint is of another training.
    """
    top = Top(encoder, settings.layers)
    state = State(top.weights, 0.01)
    loop = _Loop(top, collection, settings, state)
    identity = f"{collection.hash} {encoder.hash} {settings}"
    state.take_up(out, identity)
    while state.step < len(loop.updates):
        loop.advance()
        on_step(loop.report())
        if state.step % checkpoint_every == 0 or state.step == len(loop.updates):
            state.keep(out, identity)
    encoder.model.eval()  # type: ignore[no-untyped-call]
    return loop.report()


def contrastive_loss(
    cosines: torch.Tensor, relevant: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Make each relevant document win against all that are not relevant to the query.

    Args:
        cosines: (queries, documents).
        relevant: true where the query needs the document: (queries, documents).
        temperature: what cosines are divided by.

    Returns:
        The mean over the queries; of a query, over its relevant documents.
    """
    scores = cosines / temperature
    others = scores.masked_fill(relevant, -torch.inf).logsumexp(1, keepdim=True)
    losses = torch.logaddexp(scores, others.expand_as(scores)) - scores
    per_query = (losses * relevant).sum(1) / relevant.sum(1)
    return per_query.mean()


class _Loop:
    """A training, step by step."""

    def __init__(self, top: Top, collection: Collection, settings: Settings, state: State) -> None:
        self._top = top
        self._collection = collection
        self._settings = settings
        self.updates = plan(collection, settings)
        self._state = state
        self._read()

    def _read(self) -> None:
        """Read all texts of the plan."""
        queries = {number for update in self.updates for number in update.queries}
        documents = {number for update in self.updates for number in update.documents}
        asked = [part for n in queries for part in parts_of(self._collection.queries[n].text)]
        texts = [self._collection.documents[n].text for n in documents]
        self._top.read(asked, REQUEST_TOKENS)
        self._top.read(texts, self._settings.document_tokens)

    def advance(self) -> None:
        """Make one update."""
        settings, state = self._settings, self._state
        update = self.updates[state.step]
        torch.manual_seed(settings.seed + state.step)
        queries = [self._collection.queries[number] for number in update.queries]
        needed = [set(query.relevant) for query in queries]
        relevant = torch.tensor([[d in own for d in update.documents] for own in needed])
        cosines = self._cosines([parts_of(query.text) for query in queries], update.documents)
        loss = contrastive_loss(cosines, relevant, settings.temperature)
        for group in state.optimizer.param_groups:
            group["lr"] = settings.rate(state.step, len(self.updates))
        state.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(state.weights.values(), LONGEST_GRADIENT)
        state.optimizer.step()
        state.losses.append(float(loss.detach()))

    def _cosines(self, parts: Sequence[list[str]], documents: Sequence[int]) -> torch.Tensor:
        """Compare queries with documents: the mean of the whole's and the nearest part's cosine."""
        texts = [self._collection.documents[number].text for number in documents]
        right = self._top.encode(texts, self._settings.document_tokens)
        left = self._top.encode([text for own in parts for text in own], REQUEST_TOKENS)
        rows = torch.split(left @ right.T, [len(own) for own in parts])
        return torch.stack([(r[0] + r[min(1, len(r) - 1) :].max(0).values) / 2 for r in rows])

    def report(self) -> Step:
        """Give what is told of the step that was just made."""
        state = self._state
        return Step(state.step, len(self.updates), list(state.losses), state.seconds)
