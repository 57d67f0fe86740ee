"""Grammars that hold a model to what may come next: a function's name, its arguments, a schema."""

import json
from typing import Any, cast

import llama_cpp as llama
import numpy as np
from llama_cpp.llama_grammar import SchemaConverter
from numpy.typing import NDArray

from sandbox.errors import BadInput
from sandbox.llama.weights import Weights

_ANNOTATIONS = frozenset({"description", "example_value", "default", "title", "examples"})
"""What a schema says to readers alone."""

_STRICTER_SIGN = ('char ::= [^"\\\\]', 'char ::= [^"\\\\\\x00-\\x1F\\x7F]')
"""What a string consists of: the converter lets bare line ends through, which JSON has not."""

_CANDIDATES = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""llama.cpp's layout of a token that may come next."""


def choice_grammar(choices: list[str], end: str) -> str:
    """Give the grammar of one of several texts, closed by `end`."""
    return f"root ::= ({' | '.join(map(_literal, choices))}) {_literal(end)}"


def arguments_grammar(function: dict[str, Any]) -> str:
    """Give the grammar of a function's arguments.

    They are a JSON object: required parameters are there, each value fits its parameter's type,
    and there are no others.

    Raises:
        BadInput: the parameters are no schema that a grammar can be made of.
    """
    parameters = function.get("parameters") or {}
    properties = parameters.get("properties") or {}
    if not properties:
        return 'root ::= "{}"'
    required = [name for name in parameters.get("required") or [] if name in properties]
    plain = {name: _plain(about) for name, about in properties.items()}
    shared = {part: parameters[part] for part in ("$defs", "definitions") if part in parameters}
    schema = {
        "type": "object",
        "properties": plain,
        "required": required,
        "additionalProperties": False,
        **shared,
    }
    return schema_grammar(schema, f"the function {function['name']}")


def schema_grammar(schema: dict[str, Any], of: str = "the schema") -> str:
    """Give the grammar of JSON that fits a JSON Schema.

    Raises:
        BadInput: llama.cpp's converter does not know something in it.
    """
    try:
        converter = cast(Any, _Converter)(
            prop_order={}, allow_fetch=False, dotall=False, raw_pattern=False
        )
        converter.visit(converter.resolve_refs(json.loads(json.dumps(schema)), "schema"), "")
        return str(converter.format_grammar()).replace(*_STRICTER_SIGN)
    except Exception as error:
        raise BadInput(
            f"No grammar can be made of {of} ({type(error).__name__}: {error}). Use plain types, "
            f"properties, items and enum."
        ) from error


def _plain(schema: Any) -> Any:
    """Leave out of a schema what it says to readers alone, wherever it stands."""
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: part for name, part in schema.items() if name not in _ANNOTATIONS}
    if not kept.get("items", True):
        del kept["items"]
    for name, part in kept.items():
        if name in ("items", "anyOf", "oneOf", "allOf", "additionalProperties"):
            kept[name] = _plain(part)
        elif name == "properties" and isinstance(part, dict):
            kept[name] = {inner: _plain(about) for inner, about in part.items()}
    return kept


def _literal(text: str) -> str:
    """Write a text as the grammar's notation has it."""
    for sign, written in (
        ("\\", "\\\\"),
        ('"', '\\"'),
        ("\n", "\\n"),
        ("\r", "\\r"),
        ("\t", "\\t"),
    ):
        text = text.replace(sign, written)
    return f'"{text}"'


class _Converter(SchemaConverter):
    """llama-cpp-python's converter; its own literals forget to escape backslashes."""

    def _format_literal(self, literal: str) -> str:
        return _literal(literal)


class Guide:
    """A grammar on its way through an answer; says which tokens may come next.

    Args:
        weights: whose vocabulary the tokens are from.
        grammar: in llama.cpp's notation (GBNF), beginning at `root`.

    Raises:
        BadInput: llama.cpp cannot read the grammar.
    """

    def __init__(self, weights: Weights, grammar: str) -> None:
        self._sampler = llama.llama_sampler_init_grammar(
            weights.vocabulary, grammar.encode(), b"root"
        )
        if not self._sampler:
            raise BadInput(f"llama.cpp cannot read this grammar: {grammar[:200]}")

    def allowed(self, tokens: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Say of each token whether it may come next."""
        candidates = np.zeros(len(tokens), _CANDIDATES)
        candidates["id"] = tokens
        pointer = candidates.ctypes.data_as(llama.llama_token_data_p)
        array = llama.llama_token_data_array(pointer, len(tokens), -1, False)
        llama.llama_sampler_apply(self._sampler, array)
        return np.asarray(np.isfinite(candidates["logit"]))

    def accept(self, token: int) -> None:
        """Go on by a token that is allowed."""
        llama.llama_sampler_accept(self._sampler, token)

    def close(self) -> None:
        """Give the memory back."""
        llama.llama_sampler_free(self._sampler)
