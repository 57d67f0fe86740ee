"""The command `record`."""

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolreplay.commands.options import AsJson, Budget, Host, Key, Via
from toolreplay.commands.screen import progress_bar, show, show_json

if TYPE_CHECKING:
    from sandbox.call import ApiCall


def record(
    world: Annotated[Path, typer.Argument(help="The world to record into.")],
    calls: Annotated[
        str | None,
        typer.Option(help="JSON Lines of category, tool, api, arguments; - for stdin."),
    ] = None,
    refresh: Annotated[
        bool, typer.Option(help="Call what is recorded again and report what drifted.")
    ] = False,
    simulated_only: Annotated[
        bool, typer.Option(help="Call what so far is only simulated; a recording takes its place.")
    ] = False,
    key: Key = None,
    via: Via = None,
    host: Host = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an answer.")] = 30.0,
    retries: Annotated[int, typer.Option(min=0, help="Attempts after a passing failure.")] = 3,
    rate: Annotated[
        float | None, typer.Option(min=0.01, help="Calls a second to one host at most.")
    ] = None,
    budget: Budget = None,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, help="Calls at once.")] = 4,
    dry_run: Annotated[bool, typer.Option(help="Show the requests, make none.")] = False,
    fail_on_breaking: Annotated[
        bool, typer.Option(help="Exit with 1 when a refresh finds breaking drift.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make API calls over HTTP and put what comes back onto the tape.

    What is on the tape already is left alone, so a stopped recording goes on where it was; a
    passing failure (timeout, 429, 5xx) is retried, then kept apart from the answers, as is an
    answer to a key that was refused. Exits with 1 where calls were made and none was answered.

    \b
    Examples:
      RAPIDAPI_KEY=... toolreplay record worlds/mine --calls runs/mine/unrecorded.jsonl
      RAPIDAPI_KEY=... toolreplay record worlds/mine --refresh --fail-on-breaking
      RAPIDAPI_KEY=... toolreplay record worlds/mine --simulated-only
      toolreplay record cassettes/demo --calls examples/upstream/calls.jsonl \\
          --via http://127.0.0.1:8900
    """
    from sandbox.policy import LivePolicy
    from sandbox.probe import complaint
    from sandbox.request import build_request
    from sandbox.tape import can_be_made, refresh_order
    from sandbox.world import World
    from toolreplay.modes import live_client
    from toolreplay.tables import drift_table

    opened = World(world)
    wanted = (refresh_order(opened) if refresh else []) + (read_call_file(calls) if calls else [])
    wanted += opened.simulation.calls() if simulated_only else []
    if not wanted and not simulated_only:
        raise typer.BadParameter(
            "nothing to call: give --calls FILE, --refresh or --simulated-only."
        )
    sendable = [call for call in wanted if can_be_made(opened, call)]
    kept = len(wanted) - len(sendable)
    _tell_of_kept(kept, len(wanted))
    if dry_run:
        for call in sendable:
            request = build_request(*opened.document(call), call)
            typer.echo(f"{request.method} {request.url} {request.read().decode()}".rstrip())
        return
    failed: Counter[str] = Counter()
    hosts = frozenset(host) if host else None
    policy = LivePolicy(key, via, timeout, retries, 30.0, rate, hosts, budget)
    client = live_client(opened, policy)
    try:
        with progress_bar() as progress, opened.recording(client, refresh) as tape:
            for outcome in progress.track(
                tape.run(sendable, workers), total=len(sendable), description="Recording"
            ):
                if outcome.recording.transient:
                    failed[complaint(outcome.recording)] += 1
    finally:
        _tell_of_failed(failed)
    made = len(sendable) - tape.results["kept"]
    tape.results.update({"kept": kept} if kept else {})
    if simulated_only:
        store = World(world).store
        opened.simulation.drop(lambda simulated: bool(store.find(simulated.key)))
    drifts = sorted(tape.drifts, key=lambda drift: drift.call)
    if as_json:
        show_json({"results": dict(tape.results), "drift": [d.to_json() for d in drifts]})
    else:
        counts = ", ".join(f"{n} {result}" for result, n in sorted(tape.results.items()))
        typer.echo(f"{len(wanted)} calls: {counts}")
        if drifts:
            show(drift_table(drifts))
    unanswered = 0 < made == failed.total()
    if unanswered or (fail_on_breaking and any(drift.breaking for drift in drifts)):
        raise typer.Exit(1)


def _tell_of_kept(kept: int, wanted: int) -> None:
    if kept:
        typer.echo(
            f"{kept} of {wanted} calls are not made, and what is on the tape of them stays: "
            f"in their arguments stands REDACTED in place of a secret, which is never stored, or "
            f"one is missing that the URL's path needs. Give them whole: --calls FILE.",
            err=True,
        )


def _tell_of_failed(failed: "Counter[str]") -> None:
    from sandbox.policy import GIVE_A_KEY

    for reason, count in sorted(failed.items()):
        typer.echo(f"{count} calls without an answer: {reason}", err=True)
    if any("HTTP 401" in reason for reason in failed):
        typer.echo(GIVE_A_KEY, err=True)


def read_call_file(source: str) -> "list[ApiCall]":
    """Read calls from a file, or from standard input where the source is `-`.

    Raises:
        BadInput: it cannot be read, or a line is no call.
    """
    from sandbox.call import read_calls
    from sandbox.errors import BadInput

    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{source}: cannot be read ({error}).") from error
    return read_calls(text, source)
