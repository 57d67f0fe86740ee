"""The command `probe`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolreplay.commands.options import AsJson, ExecutorName, Host, Key, Via
from toolreplay.commands.screen import progress_bar, show, show_json

if TYPE_CHECKING:
    from sandbox.probe import Probed


def probe(
    world: Annotated[Path, typer.Argument(help="The world whose APIs to probe.")],
    drop: Annotated[bool, typer.Option(help="Take the worthless out of the documents.")] = False,
    times: Annotated[int, typer.Option(min=1, help="Calls per API.")] = 1,
    slow: Annotated[float, typer.Option(min=0.01, help="Seconds that are too long.")] = 5.0,
    key: Key = None,
    via: Via = None,
    host: Host = None,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, help="APIs at once.")] = 4,
    executor: ExecutorName = "local",
    as_json: AsJson = False,
) -> None:
    """Call every API once and tell which fail, are slow, or answer with nothing of use.

    APIs that refuse the key stay, and where not one answers, nothing is dropped.

    \b
    Examples:
      RAPIDAPI_KEY=... toolreplay probe worlds/mine
      RAPIDAPI_KEY=... toolreplay probe worlds/mine --times 3 --drop
    """
    from sandbox.policy import LivePolicy
    from sandbox.probe import Probe
    from sandbox.probe import drop as drop_worthless
    from sandbox.world import World
    from toolreplay.probing import probed

    opened = World(world)
    hosts = frozenset(host) if host else None
    policy = LivePolicy(key, via, timeout=slow + 30, retries=0, hosts=hosts)
    total = sum(1 for _ in opened.catalogue.apis())
    probe = Probe(policy, opened.catalogue.hosts(), times, slow)
    probing = probed(opened.catalogue, probe, workers, executor)
    with progress_bar() as progress:
        findings = list(progress.track(probing, total=total, description="Probing"))
    if as_json:
        show_json([finding.to_json() for finding in findings])
    else:
        _tell(findings)
    if drop:
        drop_worthless(opened.path / "tools", findings)


def _tell(findings: "list[Probed]") -> None:
    from toolreplay.tables import probe_table

    worthless = [finding for finding in findings if finding.worthless]
    unjudged = Counter(finding.reason for finding in findings if not finding.judged)
    for reason, count in sorted(unjudged.items()):
        typer.echo(f"{count} APIs are kept without a judgement: {reason}", err=True)
    if worthless:
        show(probe_table(worthless))
    left = len(findings) - len(worthless) - unjudged.total()
    typer.echo(f"{left} of {len(findings)} APIs are worth keeping.")
