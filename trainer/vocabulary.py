"""Vocabularies: a tokenizer as the fields of a GGUF file.

llama.cpp has two ways to merge characters to tokens that matter here. `llama` (SentencePiece)
merges the pair whose token has the highest score, and writes unknown characters as bytes; `gpt2`
merges by a list of pairs, over bytes, after cutting the text by a pattern that llama.cpp knows by
name.
"""

import json
from typing import Any

from gguf import GGUFReader, GGUFWriter, TokenType
from transformers import PreTrainedTokenizerBase

from sandbox.errors import BadInput

_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def copy_vocabulary(source: GGUFReader, writer: GGUFWriter) -> None:
    """Copy every tokenizer field of a GGUF file as it is."""
    for name, field in source.fields.items():
        if name.startswith("tokenizer."):
            kind, *inner = field.types
            writer.add_key_value(name, field.contents(), kind, inner[-1] if inner else None)


def add_vocabulary(tokenizer: PreTrainedTokenizerBase, size: int, writer: GGUFWriter) -> None:
    """Write a Hugging Face tokenizer's fields.

    Args:
        tokenizer: one that a `tokenizer.json` describes.
        size: rows of the model's embedding; ids without a token are filled up.
        writer: where to.

    Raises:
        BadInput: llama.cpp knows no tokenizer of its kind.
    """
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    model = described["model"]
    if model["type"] != "BPE":
        raise BadInput(f"A tokenizer of type {model['type']} has no counterpart in llama.cpp.")
    tokens = {number: token for token, number in tokenizer.get_vocab().items()}
    listed = [tokens.get(number, f"[PAD{number}]") for number in range(size)]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    if model.get("byte_fallback"):
        _add_sentencepiece(described, listed, merges, writer)
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(_pattern_name(described["pre_tokenizer"]))
        writer.add_token_list(listed)
        writer.add_token_merges(merges)
    writer.add_token_types(_types(described, listed, tokens))
    _add_special(tokenizer, writer)


def _add_sentencepiece(
    described: dict[str, Any], listed: list[str], merges: list[str], writer: GGUFWriter
) -> None:
    """Turn the order of the merges back into the scores that it was made from."""
    ranks: dict[str, int] = {}
    for rank, pair in enumerate(merges):
        left, _, right = pair.partition(" ")
        ranks.setdefault(left + right, rank)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(listed)
    writer.add_token_scores([-float(ranks.get(token, len(merges))) for token in listed])
    writer.add_add_space_prefix(_prepends_space(described))


def _types(described: dict[str, Any], listed: list[str], tokens: dict[int, str]) -> list[TokenType]:
    special = {t["id"] for t in described["added_tokens"] if t["special"]}
    added = {t["id"] for t in described["added_tokens"]}
    unknown = described["model"].get("unk_token")
    fallback = described["model"].get("byte_fallback")

    def type_of(number: int, token: str) -> TokenType:
        if number not in tokens:
            return TokenType.UNUSED
        if token == unknown:
            return TokenType.UNKNOWN
        if number in special:
            return TokenType.CONTROL
        if number in added:
            return TokenType.USER_DEFINED
        if fallback and len(token) == 6 and token.startswith("<0x"):
            return TokenType.BYTE
        return TokenType.NORMAL

    return [type_of(number, token) for number, token in enumerate(listed)]


def _prepends_space(described: dict[str, Any]) -> bool:
    """Tell whether a space is put before the text, by the normalizer or the Metaspace cutter."""
    parts = [part for name in ("normalizer", "pre_tokenizer") for part in _parts(described[name])]
    return any(
        part["type"] == "Prepend" or part.get("prepend_scheme") in ("first", "always")
        for part in parts
    )


def _pattern_name(cutter: dict[str, Any] | None) -> str:
    """Give llama.cpp's name for the pattern that cuts the text into words.

    Raises:
        BadInput: it is none that is known here.
    """
    parts = _parts(cutter)
    kinds = [part["type"] for part in parts]
    if kinds == ["ByteLevel"] and parts[0]["use_regex"]:
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and parts[0]["individual_digits"]:
        return "smollm"
    if kinds == ["Split", "ByteLevel"] and parts[0]["pattern"].get("Regex") == _LLAMA3:
        return "llama-bpe"
    raise BadInput(
        f"The tokenizer cuts words by {kinds}, which is not known here: known are the patterns of "
        f"GPT-2, SmolLM and LLaMA 3, and every SentencePiece tokenizer."
    )


def _parts(step: dict[str, Any] | None) -> list[dict[str, Any]]:
    if step is None:
        return []
    if step["type"] == "Sequence":
        return list(step.get("pretokenizers") or step.get("normalizers") or [])
    return [step]


def _add_special(tokenizer: PreTrainedTokenizerBase, writer: GGUFWriter) -> None:
    for name in ("bos", "eos", "unk", "pad"):
        number = getattr(tokenizer, f"{name}_token_id")
        if number is not None:
            getattr(writer, f"add_{name}_token_id")(number)
    ids = tokenizer("a")["input_ids"]
    writer.add_add_bos_token(ids[0] == tokenizer.bos_token_id)
    writer.add_add_eos_token(ids[-1] == tokenizer.eos_token_id)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)
