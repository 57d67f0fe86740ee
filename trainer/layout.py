"""Layouts: those in which local models are asked, for what they are trained on."""

from dataclasses import dataclass
from typing import Any, cast

from transformers import PreTrainedTokenizerBase

from sandbox.llama.layout import LAYOUTS, CallFormat, Layout, layout_for

__all__ = ["LAYOUTS", "CallFormat", "Layout", "layout_of"]


@dataclass(frozen=True)
class _Described:
    """What the native layout asks of a model's file, answered by the tokenizer of a base."""

    path: str
    tokenizer: PreTrainedTokenizerBase
    trained_layout: str | None = None

    @property
    def template(self) -> str | None:
        template = self.tokenizer.chat_template
        return template if isinstance(template, str) else None

    @property
    def first_token(self) -> int:
        return self._number(self.tokenizer.bos_token_id)

    @property
    def end_token(self) -> int:
        return self._number(self.tokenizer.eos_token_id)

    def text_of(self, token: int) -> str:
        return "" if token < 0 else str(self.tokenizer.convert_ids_to_tokens(token))

    def _number(self, token: Any) -> int:
        return -1 if token is None else int(token)


def layout_of(base: str, tokenizer: PreTrainedTokenizerBase, name: str | None) -> Layout:
    """Give the layout of a name; without one, the base's chat template, or the plain layout.

    Raises:
        BadInput: there is no such layout, or the base has no template for it.
    """
    return layout_for(cast(Any, _Described(base, tokenizer)), name)
