"""Quantisation of GGUF files, by llama.cpp's own quantiser."""

import ctypes
import logging
from pathlib import Path

import llama_cpp

from sandbox.errors import BadInput

_PREFIX = "LLAMA_FTYPE_MOSTLY_"


def kinds() -> dict[str, int]:
    """Give llama.cpp's kinds of quantisation that need no importance matrix, by name."""
    return {
        name.removeprefix(_PREFIX): getattr(llama_cpp, name)
        for name in dir(llama_cpp)
        if name.startswith(f"{_PREFIX}Q") and not name.endswith(("Q1_0", "Q2_0"))
    }


def quantise(source: Path, out: Path, kind: str) -> None:
    """Quantise a model; the result is put in place whole.

    Args:
        source: a GGUF file in F16, BF16 or F32.
        out: the file to write.
        kind: such as Q8_0 or Q4_K_M.

    Raises:
        BadInput: there is no such kind, or llama.cpp refuses the file.
    """
    known = kinds()
    if kind not in known:
        raise BadInput(f"No quantisation {kind!r}: take one of {', '.join(known)}.")
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = known[kind]
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


def quantise_in_place(path: Path, kind: str) -> None:
    """Put the quantised model in the place of a file that was just written.

    Raises:
        BadInput: as `quantise`.
    """
    full = path.with_name(f".{path.name}.full")
    path.replace(full)
    try:
        quantise(full, path, kind)
    finally:
        full.unlink(missing_ok=True)
