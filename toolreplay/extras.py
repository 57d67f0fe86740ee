"""Extras: which of them brings a module that is missing."""

import importlib.metadata
from importlib.util import find_spec

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sandbox.errors import BadInput

PROJECT = "toolreplay"
"""The name under which this is installed."""

PACKAGES = {"llama_cpp": "llama-cpp-python", "Stemmer": "PyStemmer"}
"""Packages of modules that are named otherwise."""


def missing_module(name: str | None) -> BadInput | None:
    """Say how to install what an extra would have brought.

    Args:
        name: the module that could not be imported, with or without modules of it.

    Returns:
        The error to tell; None where no extra brings the module.
    """
    module = (name or "").partition(".")[0]
    if find_spec(module or "toolreplay") is not None:
        return None
    package = canonicalize_name(PACKAGES.get(module, module))
    wanted = map(Requirement, importlib.metadata.requires(PROJECT) or [])
    markers = [
        requirement.marker
        for requirement in wanted
        if requirement.marker and canonicalize_name(requirement.name) == package
    ]
    extras = importlib.metadata.metadata(PROJECT).get_all("Provides-Extra") or []
    bringing = [
        f'"{PROJECT}[{extra}]"'
        for extra in sorted(extras)
        if any(marker.evaluate({"extra": extra}) for marker in markers)
    ]
    if not bringing:
        return None
    return BadInput(f"{module} is not installed: pip install {' or '.join(bringing)}")
