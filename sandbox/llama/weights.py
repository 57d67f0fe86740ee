"""The weights of a model: a GGUF file with its vocabulary, and a LoRA adapter laid over it."""

import ctypes
from collections import deque
from functools import cached_property
from pathlib import Path
from typing import Any

import llama_cpp as llama

from sandbox.errors import BadInput

TRAINED_LAYOUT = "toolreplay.layout"
"""The field of a GGUF file that names the layout which a model or an adapter was trained in."""

_ERROR = 4
"""llama.cpp's number of the log level for errors."""

_complaints: deque[str] = deque(maxlen=1)


def _hear(level: int, text: bytes, _: Any) -> None:
    if level == _ERROR:
        _complaints.append(text.decode("utf-8", "replace").strip())


_listen = llama.llama_log_callback(_hear)


class Weights:
    """A GGUF file that was loaded; several contexts may share it.

    Args:
        path: the model.
        adapter: a LoRA adapter in GGUF that is laid over it.
        vocabulary_only: leave the tensors on disk, for those who only look into the file.

    Raises:
        BadInput: a file is missing or is none that llama.cpp can read; says what it complained of.
    """

    def __init__(
        self, path: Path, adapter: Path | None = None, vocabulary_only: bool = False
    ) -> None:
        for file in filter(None, (path, adapter)):
            if not file.is_file():
                raise BadInput(f"No model file {file}: give the path of a GGUF file.")
        llama.llama_log_set(_listen, ctypes.c_void_p(0))
        llama.llama_backend_init()
        params = llama.llama_model_default_params()
        params.vocab_only = vocabulary_only
        self.path = path
        self.model: Any = llama.llama_model_load_from_file(str(path).encode(), params)
        if not self.model:
            raise _unreadable(path)
        self.adapter: Any = None
        if adapter is not None:
            self.adapter = llama.llama_adapter_lora_init(self.model, str(adapter).encode())
            if not self.adapter:
                raise _unreadable(adapter)
        self.vocabulary: Any = llama.llama_model_get_vocab(self.model)
        self.vocabulary_size = int(llama.llama_vocab_n_tokens(self.vocabulary))
        self.about = self._read_about()
        self.architecture = self.about.get("general.architecture", "unknown")
        self.trained_context = int(self.about.get(f"{self.architecture}.context_length", 0))

    @property
    def trained_layout(self) -> str | None:
        """The layout that the adapter, or the model, was trained in, where it says so."""
        if self.adapter is None:
            return self.about.get(TRAINED_LAYOUT)
        value = ctypes.create_string_buffer(64)
        found = llama.llama_adapter_meta_val_str(self.adapter, TRAINED_LAYOUT.encode(), value, 64)
        return value.value.decode() if found > 0 else None

    def tokens(self, text: str, opening: bool = False, special: bool = False) -> list[int]:
        """Turn text into tokens.

        Args:
            text: the text.
            opening: put the vocabulary's own first token before it, where it has one.
            special: read the names of control tokens in the text as those tokens.

        Raises:
            BadInput: llama.cpp cannot put the text into tokens.
        """
        raw = text.encode("utf-8", "replace")
        room = len(raw) + 2
        found = (llama.llama_token * room)()
        count = llama.llama_tokenize(self.vocabulary, raw, len(raw), found, room, opening, special)
        if count < 0:
            raise BadInput(f"{self.path} cannot put this text into tokens: {text[:80]!r}")
        return list(found[:count])

    def piece(self, token: int, special: bool = False) -> bytes:
        """Give the bytes that a token stands for; none for a control token unless `special`."""
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            count = llama.llama_token_to_piece(self.vocabulary, token, buffer, size, 0, special)
            if count >= 0:
                return buffer.raw[:count]
            size = -count

    def is_end(self, token: int) -> bool:
        """Whether a token ends the model's turn."""
        return bool(llama.llama_vocab_is_eog(self.vocabulary, token))

    def single(self, text: str) -> int | None:
        """Give the token that stands for a text alone; None where it takes several."""
        for first in ("", "a"):
            tokens = self.tokens(first + text)
            if tokens and self.piece(tokens[-1]) == text.encode():
                return tokens[-1]
        return None

    def text_of(self, token: int) -> str:
        """Give the name of a token in the vocabulary; empty for no token."""
        if token < 0:
            return ""
        return bytes(llama.llama_vocab_get_text(self.vocabulary, token) or b"").decode()

    @property
    def first_token(self) -> int:
        """The token that texts begin with; -1 for none."""
        return int(llama.llama_vocab_bos(self.vocabulary))

    @property
    def end_token(self) -> int:
        """The token that texts end with; -1 for none."""
        return int(llama.llama_vocab_eos(self.vocabulary))

    @cached_property
    def closers(self) -> dict[str, list[int]]:
        """Tokens that bring JSON to its end, in a string and between values, the best first."""
        ends = [llama.llama_vocab_eos(self.vocabulary), llama.llama_vocab_eot(self.vocabulary)]
        signs = {sign: self.single(sign) for sign in ('"', "}", "]")}
        between = [*(end for end in ends if end >= 0), signs["}"], signs["]"]]
        return {
            "in string": [token for token in (signs['"'],) if token is not None],
            "between": [token for token in between if token is not None],
        }

    @property
    def quantisation(self) -> str:
        """How the numbers are stored, as llama.cpp calls it (`Q4_K_M`)."""
        number = int(self.about.get("general.file_type", -1))
        names = (name for name in dir(llama) if name.startswith("LLAMA_FTYPE_"))
        found = next((name for name in names if getattr(llama, name) == number), "unknown")
        return found.removeprefix("LLAMA_FTYPE_").removeprefix("MOSTLY_")

    @property
    def template(self) -> str | None:
        """The chat template in the file."""
        return self.about.get("tokenizer.chat_template")

    def close(self) -> None:
        """Give the memory back; nothing may use the weights any more."""
        if self.model:
            llama.llama_model_free(self.model)
            self.model = None

    def _read_about(self) -> dict[str, str]:
        """Read the file's metadata; lists are left out by llama.cpp."""
        about = {}
        for index in range(llama.llama_model_meta_count(self.model)):
            name = _grown(llama.llama_model_meta_key_by_index, self.model, index)
            about[name] = _grown(llama.llama_model_meta_val_str_by_index, self.model, index)
        return about


def _grown(read: Any, model: Any, index: int) -> str:
    """Read a text whose length is not known before."""
    size = 256
    while True:
        buffer = ctypes.create_string_buffer(size)
        length = read(model, index, buffer, size)
        if length < size:
            return buffer.value.decode("utf-8", "replace")
        size = length + 1


def _unreadable(path: Path) -> BadInput:
    said = _complaints[-1] if _complaints else "no reason given"
    return BadInput(f"llama.cpp cannot load {path}: {said}. Is it a complete GGUF file?")
