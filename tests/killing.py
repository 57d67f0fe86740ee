"""Work in processes that are killed: at an operation of a file, or in the middle of a write.

Each piece of work tells its parent what it acknowledges, over a pipe, which outlives the kill.
"""

import multiprocessing
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import FrameType
from typing import Any

from eval.evaluation import evaluate
from sandbox.call import ApiCall
from sandbox.gateway.app import Gateway
from sandbox.gateway.limits import Limits
from sandbox.gateway.server import bind, run, url_of
from sandbox.live import LiveClient
from sandbox.policy import LivePolicy
from sandbox.world import World
from toolreplay.modes import answering
from toolreplay.solving import solve

Ack = Callable[[Any], None]

OPERATIONS = frozenset(
    {
        *("open", "write", "writelines", "flush", "fsync", "truncate", "replace", "rename"),
        *("unlink", "mkdir", "flock", "execute", "executemany", "executescript", "commit"),
        *("send", "sendall", "connect"),
    }
)
"""Names of the C functions that touch files and sockets; before a call of one, a process may die.

Python's audit events (`sys.addaudithook`) do not know of writes.
"""


@dataclass(frozen=True)
class Death:
    """When a process dies; not at all without either.

    Attributes:
        operation: before so many operations are done.
        size: when a file grows beyond so many bytes, with that many written: the kernel kills it in
            the middle of the write (SIGXFSZ).
    """

    operation: int | None = None
    size: int | None = None


def await_death(death: Death) -> Callable[[], int]:
    """Have this process die in time.

    Returns:
        Gives the number of operations so far.
    """
    done = count(1)
    last = 0

    def watch(_: FrameType, event: str, function: Any) -> None:
        nonlocal last
        if event == "c_call" and function.__name__ in OPERATIONS:
            last = next(done)
            if last == death.operation:
                os.kill(os.getpid(), signal.SIGKILL)

    if death.size is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (death.size, death.size))
    else:
        threading.setprofile(watch)
        sys.setprofile(watch)
    return lambda: last


def work(name: str, arguments: tuple[Any, ...], death: Death, pipe: Connection) -> None:
    """Do a piece of work in this process; tells its operations at the end."""
    lock = threading.Lock()

    def ack(what: Any) -> None:
        with lock:
            pipe.send(what)

    operations = await_death(death)
    globals()[name](*arguments, ack)
    sys.setprofile(None)
    ack(("operations", operations()))


CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.killing", "tests.test_training", "uvicorn.lifespan.on"])


class Child:
    """A process at work, and what it acknowledged."""

    def __init__(self, name: str, arguments: tuple[Any, ...], death: Death) -> None:
        self.pipe, theirs = CONTEXT.Pipe()
        self.process: ForkServerProcess = CONTEXT.Process(
            target=work, args=(name, arguments, death, theirs), daemon=True
        )
        self.process.start()
        theirs.close()

    def told(self) -> Any:
        """Give the next word; None at the end."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            return None

    def end(self) -> list[Any]:
        """Wait for the end, and give the words until there."""
        words = list(iter(self.told, None))
        self.process.join(60)
        self.pipe.close()
        return words

    @property
    def was_killed(self) -> bool:
        assert self.process.exitcode in (0, -signal.SIGKILL, -signal.SIGXFSZ), self.process.exitcode
        return self.process.exitcode != 0


def record(world: Path, calls: list[ApiCall], url: str, refresh: bool, ack: Ack) -> None:
    opened = World(world)
    with opened.recording(LiveClient(LivePolicy(via=url, retries=0)), refresh) as tape:
        for number, outcome in enumerate(tape.run(calls, workers=2)):
            if outcome.result != "transient":
                ack((number, outcome.response.body))


def simulate(world: Path, calls: list[ApiCall], ack: Ack) -> None:
    opened = World(world)
    with answering(opened, "simulate"), ThreadPoolExecutor(2) as pool:
        for number, body in enumerate(
            pool.map(lambda call: opened.session().call(call).body, calls)
        ):
            ack((number, body))


def solve_and_judge(world: Path, queries: Path, out: Path, url: str, ack: Ack) -> None:
    for solved in solve(queries, World(world), out, "openai:m", workers=2, base_url=url):
        ack(str(solved.query_id))
    evaluate(out)


def learn(model: Path, out: Path, ack: Ack) -> None:
    from tests.test_training import opened, some_sequences
    from trainer.lora import Settings, train

    settings = Settings(rank=4, steps=6, batch_tokens=100, dropout=0.1, learning_rate=1e-2)
    told = lambda step: ack(step.number)  # noqa: E731
    train(opened(model), some_sequences((40, 50, 60, 30)), settings, out, "b", "id", 2, told)


@contextmanager
def _listening() -> Iterator[socket.socket]:
    listener = bind("127.0.0.1", 0, None)
    try:
        yield listener
    finally:
        listener.close()


def serve(world: Path, mode: str, url: str, ack: Ack) -> None:
    opened, limits = World(world), Limits()
    policy = LivePolicy(via=url, retries=0)
    with _listening() as listener, answering(opened, mode, policy):  # type: ignore[arg-type]
        gateway = Gateway(opened)
        run(gateway, listener, limits, lambda: ack(url_of(listener)))
