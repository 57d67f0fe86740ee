"""Executors: who does a piece of work for each of many items: threads, or Ray's processes.

Threads share what the work needs. A Ray worker opens it for itself: what it is sent pickles as what
it was made from (a world as its directory, a tape as its folder, a model's client as its name and
address), so neither a connection nor a key travels. Results come back to the process that asked,
and that one alone writes them down.
"""

import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol, TypeVar

from sandbox.errors import BadInput, WorkerLost

EXECUTORS = ("local", "ray")
"""The names of the executors."""

RETRIES = 3
"""How often an item goes to a new worker after its own died; then it counts as lost."""

_OBJECT_STORE = 100_000_000
"""Bytes of shared memory for a Ray that is started here: only items and results pass through it."""

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Item], Result]
Opened = Callable[[], AbstractContextManager[Work[Item, Result]]]
"""Opens what a piece of work needs, and gives the work."""


class Executor(Protocol):
    """Does a piece of work for each item."""

    def run(
        self,
        items: Sequence[Item],
        work: Work[Item, Result] | None = None,
        opened: Opened[Item, Result] | None = None,
    ) -> Iterator[tuple[int, Result]]:
        """Give each item's place and result, as they are done.

        Args:
            items: the items.
            work: the work, open here already; threads do it. None to open it.
            opened: opens the work; who shares nothing with this process does so. None where `work`
                can be sent as it is.

        Raises:
            Exception: whatever the work raises, at once.
            WorkerLost: items whose workers died again and again, once all others are done.
        """


def in_order(results: Iterable[tuple[int, Result]]) -> Iterator[Result]:
    """Give what `Executor.run` gives in the order of the items, each as soon as its turn comes."""
    early: dict[int, Result] = {}
    turn = 0
    for place, result in results:
        early[place] = result
        while turn in early:
            yield early.pop(turn)
            turn += 1


@dataclass(frozen=True)
class Threads:
    """Threads of this process; a single one is the thread that asks.

    Attributes:
        workers: items at once.
    """

    workers: int = 1

    def run(
        self,
        items: Sequence[Item],
        work: Work[Item, Result] | None = None,
        opened: Opened[Item, Result] | None = None,
    ) -> Iterator[tuple[int, Result]]:
        """See `Executor`."""
        with _opening(work, None if work else opened)() as do:
            if self.workers == 1:
                yield from enumerate(map(do, items))
                return
            with ThreadPoolExecutor(self.workers) as pool:
                places = {pool.submit(do, item): place for place, item in enumerate(items)}
                try:
                    for future in as_completed(places):
                        yield places[future], future.result()
                finally:
                    pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class RayWorkers:
    """Processes of a Ray cluster, which `open_executor` joined.

    Where one dies, Ray starts another, which does the item again; the others do not notice.

    Attributes:
        workers: processes, each with one item at a time.
    """

    workers: int = 1

    def run(
        self,
        items: Sequence[Item],
        work: Work[Item, Result] | None = None,
        opened: Opened[Item, Result] | None = None,
    ) -> Iterator[tuple[int, Result]]:
        """See `Executor`."""
        import ray
        from ray.exceptions import RayActorError, RayTaskError
        from ray.util import ActorPool

        actor: Any = ray.remote(_Worker).options(
            max_restarts=-1, max_task_retries=RETRIES, num_cpus=0, scheduling_strategy="SPREAD"
        )
        opening = _opening(work, opened)
        workers = [actor.remote(opening) for _ in range(min(self.workers, len(items)))]
        pool: Any = ActorPool(workers)
        lost = set(range(len(items)))
        said = ""
        try:
            for numbered in enumerate(items):
                pool.submit(lambda worker, pair: worker.do.remote(*pair), numbered)
            while pool.has_next():
                try:
                    place, result = pool.get_next_unordered()
                except RayTaskError as error:
                    raise error.cause from None
                except RayActorError as error:
                    said = str(error).strip().splitlines()[-1].strip()
                    continue
                lost.remove(place)
                yield place, result
            with suppress(RayActorError):
                ray.get([worker.close.remote() for worker in workers])
        finally:
            for worker in workers:
                ray.kill(worker)
        if lost:
            raise WorkerLost(
                f"{len(lost)} of {len(items)} items were lost: their process died {RETRIES + 1} "
                f"times over, or could not begin ({said}). The others are done, and the same "
                f"command again does those that are missing. Fewer --workers leave each more "
                f"memory; every machine needs this toolreplay and the world at the same path."
            )


def _opening(
    work: Work[Item, Result] | None, opened: Opened[Item, Result] | None
) -> Opened[Item, Result]:
    """Give what opens a piece of work; one that is open already needs nothing more.

    Raises:
        ValueError: neither was given.
    """
    if opened is not None:
        return opened
    if work is None:
        raise ValueError("Give the work, or what opens it.")
    return lambda: nullcontext(work)


class _Worker:
    """What runs in a process of the cluster: opened when the first item comes."""

    def __init__(self, opened: Opened[Any, Any]) -> None:
        self._opened = opened
        self._doors = ExitStack()
        self._work: Work[Any, Any] | None = None

    def do(self, place: int, item: Any) -> tuple[int, Any]:
        """Do the work for an item."""
        if self._work is None:
            self._work = self._doors.enter_context(self._opened())
        return place, self._work(item)

    def close(self) -> None:
        """Leave what was opened."""
        self._doors.close()


@contextmanager
def open_executor(name: str, workers: int) -> Iterator[Executor]:
    """Open an executor by its name, for the length of a `with` block.

    For `ray`, joins the cluster that Ray's own variable RAY_ADDRESS names; without it, starts one
    on this machine and ends it. Ray's ports are open to the network; its token guards them.

    Args:
        name: of `EXECUTORS`.
        workers: items at once.

    Raises:
        BadInput: there is no such executor, Ray is not installed, or there is no cluster.
    """
    if name not in EXECUTORS:
        raise BadInput(f"No executor {name!r}: take {', '.join(EXECUTORS)}.")
    if name == "local":
        yield Threads(workers)
        return
    if find_spec("ray") is None:
        raise BadInput('Ray is not installed: pip install "toolreplay[distributed]"')
    import ray

    _join()
    try:
        yield RayWorkers(workers)
    finally:
        ray.shutdown()


def _join() -> None:
    """Join the cluster that RAY_ADDRESS names, or start one here."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = os.environ.get("RAY_ADDRESS")
    import ray

    if address is None:
        ray.init(
            address="local",
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
        return
    host, _, port = address.rpartition(":")
    try:
        if port.isdecimal() and "/" not in host:
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(
            f"RAY_ADDRESS is {address}, but there is no Ray cluster ({error}). Start one with "
            f"ray start --head, or unset RAY_ADDRESS to use this machine alone."
        ) from error
