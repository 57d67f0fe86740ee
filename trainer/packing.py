"""Packing: sequences end to end in one row, so that no compute goes to padding.

A row has no padding: it is as long as its sequences together, and its attention runs sequence by
sequence, so that none sees another and no attention between two is computed only to be masked.
What a family of sequences begins with is read once, and each of them goes on from there. Logits are
made at supervised positions alone: with Gemma's 262,144 tokens of vocabulary, those of a whole row
would be most of the work.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import torch
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

from trainer.sequence import IGNORED, Family, Sequence

POSITIONS = 128
"""Positions whose logits are held at once."""

WHOLE_SCORES = 1024
"""Keys up to which all scores of a piece are held in memory, in bf16 on a CPU."""

ATTENTION = "packed"
"""The name that `packed_attention` has in transformers' registry."""


@dataclass(frozen=True)
class Row:
    """Families end to end.

    Attributes:
        families: in their order.
    """

    families: list[Family]

    def __len__(self) -> int:
        return sum(map(len, self.families))

    @property
    def sequences(self) -> list[Sequence]:
        """All sequences, in their order."""
        return [sequence for family in self.families for sequence in family.sequences]

    @property
    def supervised(self) -> int:
        """Positions from which something is learnt."""
        return sum(t != IGNORED for sequence in self.sequences for t in sequence.targets)


def pack(families: Iterable[Family], capacity: int) -> Iterator[Row]:
    """Fill rows in order; a family that no longer fits opens the next row.

    Args:
        families: in the order in which they are to be learnt from.
        capacity: tokens of a row at most; a longer family gets a row of its own.
    """
    filling: list[Family] = []
    used = 0
    for family in families:
        if filling and used + len(family) > capacity:
            yield Row(filling)
            filling, used = [], 0
        filling.append(family)
        used += len(family)
    if filling:
        yield Row(filling)


def use_packed_attention(model: PreTrainedModel) -> None:
    """Make a model attend within each sequence of a row, and never across two."""
    AttentionInterface.register(ATTENTION, packed_attention)
    model.set_attn_implementation(ATTENTION)


def round_frozen(model: torch.nn.Module) -> None:
    """Hold the weights of linear layers that do not learn in bf16, where products are made in it.

    Autocast would round them to the same values again at each use. Embeddings stay as they are,
    also where the layer of the logits shares their weights.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and not module.weight.requires_grad:
            rounded = module.weight.detach().to(torch.bfloat16)
            module.weight = torch.nn.Parameter(rounded, requires_grad=False)


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    families: list[Family] | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend sequence by sequence; an attention function of transformers.

    Where a layer has a window, a sequence is read in pieces as long as the window, each beside the
    one before it, so the work grows with the sequence and not with its square.

    Args:
        module: the attention layer; not used.
        query: 1 x heads x tokens x size of a head.
        key: as query, perhaps with fewer heads.
        value: as key.
        attention_mask: not used: it follows from `families`.
        dropout: share of attention weights to drop.
        scaling: factor of the scores.
        sliding_window: how many tokens back a token sees, itself included; None for all.
        families: what the row holds; None for one sequence.

    Returns:
        The attended values, 1 x tokens x heads x size of a head, and no weights.
    """
    held = [(f.stem, f.tails) for f in families or []] or [(0, [query.shape[2]])]
    sizes = [size for stem, tails in held for size in (stem, *tails)]
    parts = zip(*(torch.split(s, sizes, dim=2) for s in (query, key, value)), strict=True)
    attended: list[torch.Tensor] = []
    for stem, tails in held:
        stem_q, stem_k, stem_v = next(parts)
        if stem:
            stems = (stem_q, stem_k, stem_v)
            attended += _attend_in_pieces(*stems, dropout, scaling, sliding_window)
        for q, k, v in islice(parts, len(tails)):
            if stem:
                k, v = torch.cat((stem_k, k), dim=2), torch.cat((stem_v, v), dim=2)
            attended += _attend_in_pieces(q, k, v, dropout, scaling, sliding_window)
    return torch.cat(attended, dim=2).transpose(1, 2).contiguous(), None


def _attend_in_pieces(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    dropout: float,
    scaling: float | None,
    window: int | None,
) -> Iterator[torch.Tensor]:
    """Attend from the last tokens of one sequence, in pieces as long as the window."""
    length = key.shape[2]
    asked_from = length - query.shape[2]
    window = min(window or length, length)
    for begin in range(asked_from, length, window):
        end, first = min(begin + window, length), max(0, begin - window + 1)
        mask = _mask(end - begin, end - first, window, query.device) if begin else None
        asking = query[:, :, begin - asked_from : end - asked_from]
        yield _attend(asking, key[:, :, first:end], value[:, :, first:end], mask, dropout, scaling)


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    dropout: float,
    scaling: float | None,
) -> torch.Tensor:
    """Attend within one piece; a mask of None lets each token see those before it.

    PyTorch's fused attention takes three times as long in bf16 on a CPU as the products of matrices
    that it stands for, so short pieces go through those.
    """
    in_bf16 = query.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    if in_bf16 and not dropout and key.shape[2] <= WHOLE_SCORES:
        return _attend_by_products(query, key, value, mask, scaling)
    return scaled_dot_product_attention(
        query, key, value, mask, dropout, is_causal=mask is None, scale=scaling, enable_gqa=True
    )


def _attend_by_products(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float | None,
) -> torch.Tensor:
    """Attend in bf16 with all scores in memory; heads that share a key are read as one matrix."""
    _, heads, queries, size = query.shape
    groups, keys = key.shape[1:3]
    if mask is None:
        mask = _mask(queries, keys, keys, query.device)
    scale = size**-0.5 if scaling is None else scaling
    with torch.autocast("cpu", enabled=False):
        q, k, v = (states.to(torch.bfloat16) for states in (query, key, value))
        rows = (q * scale).reshape(groups, -1, size)
        scores = (rows @ k[0].transpose(1, 2)).view(groups, heads // groups, queries, keys)
        weights = scores.masked_fill(~mask, float("-inf")).softmax(-1)
        return (weights.view(groups, -1, keys) @ v[0]).view(1, heads, queries, size)


@lru_cache(maxsize=64)
def _mask(queries: int, keys: int, window: int, device: torch.device) -> torch.Tensor:
    """Let the last so many tokens see themselves and those before, within the window."""
    ahead = keys - queries
    all_seen = torch.ones(queries, keys, dtype=torch.bool, device=device)
    return all_seen.tril(ahead).triu(ahead - window + 1)


def learn_row(
    model: torch.nn.Module, row: Row, device: torch.device, bf16: bool = False
) -> torch.Tensor:
    """Add the gradient of a row's summed cross-entropy to that of the weights.

    Logits are made, learnt from and forgotten a few positions at a time: with Gemma's vocabulary
    those of 500 positions would take half a gigabyte. The layer that makes them does not learn.

    Args:
        model: a causal language model (or adapter over one) with packed attention.
        row: what to learn from.
        device: where the model is.
        bf16: compute products of matrices in bf16.

    Returns:
        The summed cross-entropy of the supervised positions, a float32 scalar without a gradient;
        divide by `Row.supervised` for the mean.
    """
    parts = [(s, part) for f in row.families for s, part in zip(f.sequences, f.parts, strict=True)]
    tokens = [token for sequence, part in parts for token in sequence.tokens[part]]
    targets = [target for sequence, part in parts for target in sequence.targets[part]]
    positions = [n for sequence, part in parts for n in range(len(sequence))[part]]
    wanted = torch.tensor(targets, device=device)
    asked = wanted != IGNORED
    causal: Any = getattr(model, "get_base_model", lambda: model)()
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        states = causal.get_decoder()(
            input_ids=torch.tensor([tokens], device=device),
            position_ids=torch.tensor([positions], device=device),
            families=row.families,
            use_cache=False,
        ).last_hidden_state[0, asked]
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        split = (torch.split(part, POSITIONS) for part in (states, wanted[asked]))
        pieces = zip(*split, strict=True)
        learnt = [_learn(causal.get_output_embeddings(), *piece) for piece in pieces]
    states.backward(torch.cat([gradient for _, gradient in learnt]))
    return torch.stack([loss for loss, _ in learnt]).sum()


def _learn(
    head: torch.nn.Linear, states: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Give the summed cross-entropy of some positions, and its gradient by their states.

    That by the logits is the softmax less one at the target, made in the logits' place, so nothing
    more of their size is kept.

    Args:
        head: makes logits of states; it does not learn.
        states: positions x size.
        targets: the token to come, for each position.
    """
    logits = head(states).float()
    loss = cross_entropy(logits, targets, reduction="sum")
    softmax = torch.softmax(logits, -1, out=logits)
    softmax[torch.arange(len(targets)), targets] -= 1
    return loss, (softmax.to(head.weight.dtype) @ head.weight).to(states.dtype)
