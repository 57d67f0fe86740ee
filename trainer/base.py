"""Bases: the model that an adapter is trained on and merged into.

A base is a directory in Hugging Face's layout, a GGUF file (de-quantised to full precision), or a
name on the Hugging Face hub, which is the only case in which something may be downloaded.
"""

import re
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader, Keys
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.logging import disable_progress_bar

from sandbox.errors import BadInput
from sandbox.llama.files import OFFERS, find
from trainer.position import global_rope

FAMILIES = ("llama", "gemma3_text")
"""Model types that can be trained and exported."""

UNKNOWN_LICENCE = "unknown: ask the publisher of the base"


@dataclass(frozen=True)
class Base:
    """Where a base lies.

    Attributes:
        name: as the user named it.
        path: the directory or file; None for a name on the hub.
    """

    name: str
    path: Path | None

    @property
    def gguf(self) -> Path | None:
        """The GGUF file, where the base is one."""
        return self.path if self.path is not None and self.path.is_file() else None

    def config(self) -> PreTrainedConfig:
        """Read the base's configuration without its weights.

        Raises:
            BadInput: it cannot be read, or it is of no family that can be trained.
        """
        config = self._read(AutoConfig)
        if config.model_type not in FAMILIES:
            raise BadInput(
                f"{self.name}: a model of type {config.model_type!r}: take one of the types "
                f"{' and '.join(FAMILIES)}."
            )
        if self.gguf:
            self._complete(config)
        return config  # type: ignore[no-any-return]

    def model(self, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
        """Load the weights.

        Raises:
            BadInput: they cannot be read, or are of no family that can be trained.
        """
        warnings.filterwarnings("ignore", ".*gradient_checkpointing.* is deprecated", FutureWarning)
        disable_progress_bar()  # type: ignore[no-untyped-call]
        config = self.config()
        more = {"config": config} if self.gguf else {"use_safetensors": True}
        model = self._read(AutoModelForCausalLM, dtype=dtype, **more)
        if self.gguf:
            _forget_quantisation(model)
        return model  # type: ignore[no-any-return]

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Load the tokenizer.

        Raises:
            BadInput: it cannot be read.
        """
        return self._read(AutoTokenizer)  # type: ignore[no-any-return]

    def licence(self) -> str:
        """Give the licence that the base states, in its GGUF fields or its README."""
        if self.gguf:
            return str(self._field("general.license") or UNKNOWN_LICENCE)
        readme = self.path / "README.md" if self.path else None
        text = readme.read_text("utf-8", "replace") if readme and readme.exists() else ""
        stated = re.search(r"\A---\n(?:.*\n)*?license:\s*(\S+)", text)
        return stated[1] if stated else UNKNOWN_LICENCE

    @cached_property
    def reader(self) -> GGUFReader:
        """The base's GGUF file, opened."""
        return GGUFReader(str(self.gguf))

    def _field(self, name: str) -> Any:
        field = self.reader.get_field(name)
        return field.contents() if field else None

    def _complete(self, config: PreTrainedConfig) -> None:
        """Set what transformers does not read from a GGUF file.

        Raises:
            BadInput: the file scales its positions in a way that transformers cannot read.
        """
        if config.model_type == "gemma3_text":
            config.query_pre_attn_scalar = gemma_attention_scale(config)
        kind = self._field(Keys.General.ARCHITECTURE)
        scaling = self._field(Keys.Rope.SCALING_TYPE.format(arch=kind)) or "none"
        factors = any(tensor.name == "rope_freqs.weight" for tensor in self.reader.tensors)
        if factors or scaling not in ("none", "linear"):
            raise BadInput(
                f"{self.name}: its scaled positions cannot be read from a GGUF file: take the "
                f"model's directory in Hugging Face's layout."
            )
        if scaling == "linear":
            rope = global_rope(config.rope_parameters)
            factor = self._field(Keys.Rope.SCALING_FACTOR.format(arch=kind))
            rope |= {"rope_type": "linear", "factor": float(factor)}

    def _read(self, kind: Any, **options: Any) -> Any:
        try:
            if self.gguf:
                folder, name = str(self.gguf.parent), self.gguf.name
                return kind.from_pretrained(folder, gguf_file=name, **options)
            place = self.name if self.path is None else str(self.path)
            return kind.from_pretrained(
                place, local_files_only=self.path is not None, trust_remote_code=False, **options
            )
        except (OSError, ValueError, KeyError, NotImplementedError) as error:
            raise BadInput(f"{self.name}: cannot be opened as a base ({error}).") from error


def gemma_attention_scale(config: PreTrainedConfig) -> int:
    """Give the root of what Gemma 3's attention is divided by, which a GGUF file does not tell.

    It is the size of a head; in the 27B model alone, which has 62 layers, it is another.
    """
    if config.num_hidden_layers == 62:
        return int(config.hidden_size // config.num_attention_heads)
    return int(config.head_dim)


def find_base(name: str) -> Base:
    """Find a base by a path, by the name of a model that was pulled, or by a name on the hub.

    Raises:
        BadInput: there is no such path, and it is no name on the hub.
    """
    path = find(name) if name in OFFERS else Path(name)
    if path.is_dir() and not (path / "config.json").exists():
        raise BadInput(f"{name}: no config.json here: give a model's directory or a GGUF file.")
    if path.is_file() and path.suffix != ".gguf":
        raise BadInput(f"{name}: no GGUF file: give a model's directory or a .gguf file.")
    if path.exists():
        return Base(name, path)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not path.parent.exists():
        return Base(name, None)
    raise BadInput(
        f"{name}: there is no such file or directory. Give a model's directory, a GGUF file, or a "
        f"name on the Hugging Face hub (owner/model)."
    )


def _forget_quantisation(model: Any) -> None:
    """Let a de-quantised model be saved: its weights are plain, but it still says quantised."""
    model.hf_quantizer = None
    model.is_quantized = False
    del model.config.quantization_config
