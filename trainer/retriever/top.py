"""The top of an encoder: the layers that are trained, over states that the others made once."""

from collections.abc import Sequence
from typing import Any, cast

import torch

from sandbox.errors import BadInput
from solver.retriever.encoder import Encoder, has_bf16, pool, quick

_BATCH = 32


class Top:
    """An encoder whose lower layers stay as they are.

    What those make of a text never changes, so it is computed once and kept (as bfloat16), and a
    step costs the trained layers alone.

    Args:
        encoder: the encoder; its trained layers are changed in place.
        layers: how many are trained, from the last one.

    Raises:
        BadInput: the model is not of BERT's family.
    """

    def __init__(self, encoder: Encoder, layers: int) -> None:
        self._encoder = encoder
        stack = getattr(getattr(encoder.model, "encoder", None), "layer", None)
        if stack is None:
            kind = encoder.model.config.model_type
            raise BadInput(f"{encoder.path}: a model of type {kind!r}: take one of BERT's family.")
        self._below = max(0, len(stack) - layers)
        self._layers = list(stack)[self._below :]
        for weight in encoder.model.parameters():
            weight.requires_grad_(False)
        for layer in self._layers:
            layer.requires_grad_(True).train()
        self._states: dict[tuple[str, int], torch.Tensor] = {}

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """The weights that are trained, by name."""
        return {n: w for n, w in self._encoder.model.named_parameters() if w.requires_grad}

    def encode(self, texts: Sequence[str], tokens: int) -> torch.Tensor:
        """Encode texts that were read, so that gradients reach the trained layers.

        Args:
            texts: the texts.
            tokens: what was read of each at most.

        Returns:
            A vector of length 1 per text: (texts, dimensions).
        """
        rows = [self._states[text, tokens] for text in texts]
        order = sorted(range(len(rows)), key=lambda n: len(rows[n]))
        batches = [order[start : start + _BATCH] for start in range(0, len(order), _BATCH)]
        vectors = torch.cat([self._finish([rows[n] for n in batch]) for batch in batches])
        return vectors[torch.argsort(torch.tensor(order))]

    def _finish(self, rows: Sequence[torch.Tensor]) -> torch.Tensor:
        """Run the trained layers over the states of some texts, and pool."""
        states = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True).float()
        lengths = torch.tensor([len(row) for row in rows])
        mask = (torch.arange(states.shape[1])[None] < lengths[:, None]).long()
        hidden = (1.0 - mask[:, None, None].float()) * torch.finfo(torch.float32).min
        with quick():
            for layer in self._layers:
                made = layer(states, hidden.to(torch.bfloat16) if has_bf16() else hidden)
                states = made[0] if isinstance(made, tuple) else made
        return pool(states, mask, self._encoder.pooling)

    def read(self, texts: Sequence[str], tokens: int) -> None:
        """Compute what the lower layers make of texts, and keep it.

        All of a training's texts are read at once: what is made of a text may differ in its last
        bits with those beside it, and a training that goes on must see the same.

        Args:
            texts: the texts, in any order.
            tokens: read of each at most.
        """
        order = sorted(set(texts), key=lambda text: (len(text), text))
        model: Any = self._encoder.model
        model.eval()
        for start in range(0, len(order), _BATCH):
            some = order[start : start + _BATCH]
            batch = self._encoder.tokenise(some, tokens)
            states = _lower(model, batch, self._below)
            lengths = batch["attention_mask"].sum(1).tolist()
            for text, row, length in zip(some, states, lengths, strict=True):
                self._states[text, tokens] = row[:length].to(torch.bfloat16).clone()
        for layer in self._layers:
            layer.train()


def _lower(model: Any, batch: dict[str, torch.Tensor], layers: int) -> torch.Tensor:
    """Run the embeddings and so many layers: (texts, tokens, dimensions)."""
    stack = model.encoder.layer
    model.encoder.layer = stack[:layers]
    try:
        with torch.no_grad(), quick():
            return cast(torch.Tensor, model(**batch).last_hidden_state)
    finally:
        model.encoder.layer = stack
