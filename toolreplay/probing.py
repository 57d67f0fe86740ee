"""Probing here or on many machines: the executor by its name, and the key that does not travel."""

import os
from collections.abc import Iterator

from sandbox.catalogue import Catalogue
from sandbox.errors import BadInput
from sandbox.executor import open_executor
from sandbox.policy import KEY_VARIABLE
from sandbox.probe import Probe, Probed


def probed(
    catalogue: Catalogue, probe: Probe, workers: int = 4, executor: str = "local"
) -> Iterator[Probed]:
    """Probe the APIs of a catalogue.

    Args:
        catalogue: what to probe.
        probe: how.
        workers: APIs to probe at once.
        executor: `local` or `ray`; see `sandbox.executor`.

    Yields:
        A finding per API, in the order of the catalogue.

    Raises:
        BadInput: the key is of this process alone.
    """
    if executor != "local" and probe.policy.key != os.environ.get(KEY_VARIABLE):
        raise BadInput(
            f"--key stays in this process: set {KEY_VARIABLE} on every machine, or leave "
            f"--executor {executor} out."
        )
    with open_executor(executor, workers) as spread:
        yield from probe.probe(catalogue, spread)
