"""Quantisation of GGUF files, by llama.cpp's own quantiser."""

import ctypes
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import llama_cpp

from sandbox.errors import BadInput

FULL = "F16"
"""A model that is not quantised."""

_PREFIX = "LLAMA_FTYPE_MOSTLY_"


def kinds() -> dict[str, int]:
    """Give llama.cpp's kinds of quantisation that need no importance matrix, by name."""
    return {
        name.removeprefix(_PREFIX): getattr(llama_cpp, name)
        for name in dir(llama_cpp)
        if name.startswith(f"{_PREFIX}Q") and not name.endswith(("Q1_0", "Q2_0"))
    }


def _check(kind: str) -> None:
    if kind not in kinds():
        known = ", ".join([FULL, *kinds()])
        raise BadInput(f"No quantisation {kind!r}: take one of {known}.")


def quantise(source: Path, out: Path, kind: str) -> None:
    """Quantise a model; the result is put in place whole.

    Args:
        source: a GGUF file in F16, BF16 or F32.
        out: the file to write.
        kind: such as Q8_0 or Q4_K_M.

    Raises:
        BadInput: there is no such kind, or llama.cpp refuses the file.
    """
    _check(kind)
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = kinds()[kind]
    logging.getLogger("llama-cpp-python").setLevel(logging.CRITICAL)
    unfinished = out.with_name(f".{out.name}.part")
    out.parent.mkdir(parents=True, exist_ok=True)
    failed = llama_cpp.llama_model_quantize(
        str(source).encode(), str(unfinished).encode(), ctypes.byref(settings)
    )
    if failed:
        unfinished.unlink(missing_ok=True)
        raise BadInput(f"{source}: llama.cpp cannot quantise this file to {kind}.")
    unfinished.replace(out)


@contextmanager
def quantised(out: Path, kind: str) -> Iterator[Path]:
    """Give the place where the full model is to be written; at the end it is quantised to `out`.

    Args:
        out: the file to write; what is there stays until the new one is whole.
        kind: as for `quantise`, or F16, which leaves the model as it is.

    Raises:
        BadInput: as `quantise`; an unknown kind at once.
    """
    if kind == FULL:
        yield out
        return
    _check(kind)
    full = out.with_name(f".{out.name}.full")
    try:
        yield full
        quantise(full, out, kind)
    finally:
        full.unlink(missing_ok=True)
