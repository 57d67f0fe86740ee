"""The modes of a world: who answers a call, and which connections may be opened meanwhile."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, cast, get_args

from sandbox.errors import BadInput
from sandbox.network import network_shut
from sandbox.policy import LivePolicy
from sandbox.world import World
from toolreplay.simulators import open_simulator

if TYPE_CHECKING:
    from sandbox.live import LiveClient
    from sandbox.simulator import Simulator

Mode = Literal["replay", "simulate", "live", "refresh"]
"""How API calls are answered; they follow vcrpy's record modes."""


RECORDING: tuple[Mode, ...] = ("live", "refresh")
"""The modes that record."""


def read_mode(name: str) -> Mode:
    """Read a mode's name.

    Raises:
        BadInput: there is no such mode.
    """
    if name not in get_args(Mode):
        raise BadInput(f"No mode {name!r}: take {', '.join(get_args(Mode))}.")
    return cast(Mode, name)


def refuse_to_record(mode: Mode, executor: str) -> None:
    """Leave recording to one process: the journal is its.

    Raises:
        BadInput: the mode records.
    """
    if mode in RECORDING:
        raise BadInput(
            f"--mode {mode} records, and one process alone records into a world: leave --executor "
            f"{executor} out, or record first (toolreplay record) and then replay."
        )


@contextmanager
def answering(
    world: World,
    mode: Mode,
    policy: LivePolicy | None = None,
    model_hosts: Sequence[str] = (),
    simulator: "Simulator | None" = None,
) -> Iterator[None]:
    """Let a world answer in a mode for the length of a `with` block.

    Args:
        world: the world.
        mode: `replay` and `simulate` refuse the network; `simulate` has the calls that are not
            recorded answered by a simulator; `live` makes and records them; `refresh` makes and
            records all calls again.
        policy: how live calls are made; by default to the hosts of the world's documents alone.
        model_hosts: hosts of models' servers, which may be reached in every mode.
        simulator: answers in `simulate`; by default the best that is installed.
    """
    if mode == "replay":
        with network_shut(*model_hosts):
            yield
    elif mode == "simulate":
        chosen = simulator or open_simulator("auto", world)
        with network_shut(*model_hosts, *chosen.hosts), world.simulating(chosen):
            yield
    else:
        client = live_client(world, policy or LivePolicy())
        with world.recording(client, refresh=mode == "refresh"):
            yield


def live_client(world: World, policy: LivePolicy) -> "LiveClient":
    """Make a client for live calls that may call the hosts of the world's documents alone.

    Args:
        world: the world.
        policy: how calls are made; the hosts that it names itself count instead, and may be on
            this machine or its network.
    """
    from sandbox.live import LiveClient

    return LiveClient(policy, world.catalogue.hosts())
