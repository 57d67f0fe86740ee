"""The command line. Each command loads what it needs when it is called."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sandbox.errors import ToolReplayError
from toolreplay import __version__

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress

    from sandbox.call import ApiCall

app = typer.Typer(
    name="toolreplay",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
world_app = typer.Typer(no_args_is_help=True, help="Import worlds and look into them.")
app.add_typer(world_app, name="world")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Key = Annotated[str | None, typer.Option(envvar="RAPIDAPI_KEY", help="Sent as X-RapidAPI-Key.")]
Via = Annotated[str | None, typer.Option(help="Reach every host at this address (local services).")]
Host = Annotated[
    list[str] | None,
    typer.Option(help="Call these hosts alone, not all documented ones; repeat for several."),
]
Budget = Annotated[int | None, typer.Option(min=1, help="Live calls to make at most.")]
Workers = Annotated[
    int, typer.Option("--workers", "-w", min=1, help="Instructions to solve at once.")
]


def main() -> None:
    """Run the command line; errors that are ours are told in words, and exit with 2."""
    try:
        app()
    except ToolReplayError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(2)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"toolreplay {__version__}")
        raise typer.Exit


@app.callback()
def toolreplay(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """ToolLLM on tape: search, judge and compare tool-using agents offline, the same every time.

    \b
    Examples:
      toolreplay demo
      toolreplay world import toolbench data/ --into worlds/mine
      toolreplay solve worlds/mine/instructions/toolbench.json --world worlds/mine \\
          --model recorded --as-recorded --out runs/again
      toolreplay eval runs/again --json
    """


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where the runs go.")] = Path("runs/demo"),
    workers: Workers = 2,
    as_json: AsJson = False,
) -> None:
    """Solve and judge the shipped instructions, from recorded answers alone.

    \b
    Examples:
      toolreplay demo
      toolreplay demo --out runs/again --workers 8 --json
    """
    from toolreplay.demo import demo_world, run_demo
    from toolreplay.tables import comparison_table

    with _progress() as progress:
        tasks: dict[str, Any] = {}

        def advance(method: str, total: int) -> None:
            if method not in tasks:
                tasks[method] = progress.add_task(f"Searching with {method}", total=total)
            progress.advance(tasks[method])

        evaluations = run_demo(out, workers, advance)
    if as_json:
        _print_json([evaluation.to_json() for evaluation in evaluations])
        return
    _print(comparison_table(evaluations))
    typer.echo(
        f"\nEach cell: pass rate, and below it the grounded rate (every fact of the right answer "
        f"is told, and was returned by an API).\n"
        f"Answers: {out}/<method>/answers/<set>/*.json\n"
        f"Verdicts: {out}/<method>/verdicts/<set>.json\n"
        f"The world: {demo_world()}\n"
        f"Next: toolreplay eval {out}/dfsdt, toolreplay solve --help"
    )


@app.command()
def solve(
    queries: Annotated[list[Path], typer.Argument(help="Query files, or a folder of them.")],
    world: Annotated[Path, typer.Option(help="The world that answers API calls.")],
    out: Annotated[Path, typer.Option(help="The run directory; an unfinished run goes on.")],
    model: Annotated[
        str, typer.Option(help="recorded, recorded:NAME or openai:NAME.")
    ] = "recorded",
    method: Annotated[str, typer.Option(help="dfsdt, dfs, react or react@N.")] = "dfsdt",
    workers: Workers = 1,
    depth: Annotated[int, typer.Option(min=1, max=200, help="Nodes on a path.")] = 12,
    width: Annotated[int, typer.Option(min=1, help="Children per node.")] = 2,
    max_calls: Annotated[int, typer.Option(min=2, help="Model calls per instruction.")] = 200,
    as_recorded: Annotated[
        bool, typer.Option(help="Take each imported tree's own limits instead.")
    ] = False,
    temperature: Annotated[
        float, typer.Option(min=0, help="For second and later siblings and attempts.")
    ] = 0.7,
    seed: Annotated[int, typer.Option(help="Seeds what is drawn.")] = 0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a completion.")] = 256,
    frequency_penalty: Annotated[
        float, typer.Option(min=0, help="Gets a weak model out of loops.")
    ] = 0.0,
    observation_limit: Annotated[
        int, typer.Option(min=1, help="Characters of an observation that the model sees.")
    ] = 1024,
    strict: Annotated[
        bool, typer.Option(help="Stop at the first API call that is not recorded.")
    ] = False,
    compress: Annotated[
        bool, typer.Option(help="Shorten long API answers to the fields that the model names.")
    ] = False,
    base_url: Annotated[
        str | None, typer.Option(envvar="OPENAI_BASE_URL", help="The model server's address.")
    ] = None,
    observations_as: Annotated[
        str,
        typer.Option(help="tool or user: the role that carries observations to the server."),
    ] = "tool",
    mode: Annotated[
        str, typer.Option(help="replay, live (record what is new) or refresh (record all).")
    ] = "replay",
    key: Key = None,
    via: Via = None,
    host: Host = None,
    budget: Budget = None,
) -> None:
    """Search solution paths for instructions.

    Every completion goes onto the world's tape, so a run that was stopped goes on without asking
    the model twice, and `--model recorded` repeats it without a server.

    \b
    Examples:
      toolreplay solve cassettes/demo/instructions --world cassettes/demo \\
          --method react --max-calls 16 --out runs/react
      toolreplay solve queries.json --world worlds/mine --model openai:gpt-4o-mini \\
          --method dfsdt --workers 4 --out runs/mine
    """
    from sandbox.errors import BadInput
    from sandbox.policy import LivePolicy
    from sandbox.world import World
    from solver.method import Method
    from solver.run import Settings
    from solver.search import Drawing, Limits
    from toolreplay.solving import read_mode, read_queries
    from toolreplay.solving import solve as solve_queries

    if observations_as not in ("tool", "user"):
        raise BadInput(f"--observations-as {observations_as}: take tool or user.")
    limits = Limits(depth=depth, width=width, model_calls=max_calls)
    settings = Settings(
        None if as_recorded else Method.parse(method, limits),
        Drawing(temperature, seed, max_tokens, frequency_penalty),
        observation_limit,
        strict,
        compress,
    )
    total = len(read_queries(queries))
    solved = solve_queries(
        queries,
        World(world),
        out,
        model,
        workers=workers,
        settings=settings,
        base_url=base_url,
        observation_role="user" if observations_as == "user" else "tool",
        mode=read_mode(mode),
        policy=LivePolicy(key=key, via=via, hosts=frozenset(host) if host else None, budget=budget),
    )
    with _progress() as progress:
        for _ in progress.track(solved, total=total, description="Searching"):
            pass
    typer.echo(f"{total} answers in {out}/answers. Judge them: toolreplay eval {out}")
    unrecorded = (out / "unrecorded.jsonl").read_text(encoding="utf-8").count("\n")
    if unrecorded:
        typer.echo(
            f"{unrecorded} calls were not recorded. To record them where the APIs can be reached: "
            f"toolreplay record {world} --calls {out}/unrecorded.jsonl"
        )


@app.command("eval")
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run directory.")], as_json: AsJson = False
) -> None:
    """Judge a run: pass rate, grounded rate, and where its API answers came from.

    \b
    Examples:
      toolreplay eval runs/demo/dfsdt
      toolreplay eval runs/demo/dfsdt --json
    """
    from eval.evaluation import evaluate as evaluate_run
    from toolreplay.tables import setting_table

    evaluation = evaluate_run(run)
    if as_json:
        _print_json(evaluation.to_json())
    else:
        _print(setting_table(evaluation))


@app.command()
def dataset(
    runs: Annotated[list[Path], typer.Argument(help="Runs, folders of answers, or answers.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    layout: Annotated[
        str, typer.Option(help="toolbench (one instance per step) or openai (one path a line).")
    ] = "toolbench",
) -> None:
    """Turn solution paths into training conversations.

    \b
    Examples:
      toolreplay dataset runs/demo/dfsdt --out training.json
      toolreplay dataset ../shared/toolbench/answers --layout openai --out training.jsonl
    """
    from sandbox.cassette import write_whole
    from sandbox.errors import BadInput
    from trainer.dataset import instances, openai_records, read_answers

    answers = read_answers(runs)
    if layout == "toolbench":
        records = list(instances(answers))
        text = json.dumps(records, ensure_ascii=False, indent=1) + "\n"
    elif layout == "openai":
        records = list(openai_records(answers))
        text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    else:
        raise BadInput(f"No layout {layout!r}: take toolbench or openai.")
    write_whole(out, text)
    typer.echo(f"{len(records)} training conversations in {out}")


@app.command()
def record(
    world: Annotated[Path, typer.Argument(help="The world to record into.")],
    calls: Annotated[
        str | None,
        typer.Option(help="JSON Lines of category, tool, api, arguments; - for stdin."),
    ] = None,
    refresh: Annotated[
        bool, typer.Option(help="Call what is recorded again and report what drifted.")
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
    passing failure (timeout, 429, 5xx) is retried, then kept apart from the answers.

    \b
    Examples:
      RAPIDAPI_KEY=... toolreplay record worlds/mine --calls runs/mine/unrecorded.jsonl
      RAPIDAPI_KEY=... toolreplay record worlds/mine --refresh --fail-on-breaking
      toolreplay record cassettes/demo --calls examples/upstream/calls.jsonl \\
          --via http://127.0.0.1:8900
    """
    from sandbox.policy import LivePolicy
    from sandbox.request import build_request
    from sandbox.tape import refresh_order
    from sandbox.world import World
    from toolreplay.solving import live_client
    from toolreplay.tables import drift_table

    opened = World(world)
    wanted = (refresh_order(opened) if refresh else []) + (_read_calls(calls) if calls else [])
    if not wanted:
        raise typer.BadParameter("nothing to call: give --calls FILE, or --refresh.")
    if dry_run:
        for call in wanted:
            request = build_request(*opened.document(call), call)
            typer.echo(f"{request.method} {request.url} {request.read().decode()}".rstrip())
        return
    hosts = frozenset(host) if host else None
    policy = LivePolicy(key, via, timeout, retries, 30.0, rate, hosts, budget)
    with _progress() as progress, opened.recording(live_client(opened, policy), refresh) as tape:
        for _ in progress.track(
            tape.run(wanted, workers), total=len(wanted), description="Recording"
        ):
            pass
    drifts = sorted(tape.drifts, key=lambda drift: drift.call)
    if as_json:
        _print_json({"results": dict(tape.results), "drift": [d.to_json() for d in drifts]})
    else:
        counts = ", ".join(f"{n} {result}" for result, n in sorted(tape.results.items()))
        typer.echo(f"{len(wanted)} calls: {counts}")
        if drifts:
            _print(drift_table(drifts))
    if fail_on_breaking and any(drift.breaking for drift in drifts):
        raise typer.Exit(1)


def _read_calls(source: str) -> "list[ApiCall]":
    from sandbox.call import read_calls
    from sandbox.errors import BadInput

    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{source}: cannot be read ({error}).") from error
    return read_calls(text, source)


@world_app.command("import")
def import_world(
    kind: Annotated[
        str, typer.Argument(help="What it is: toolbench, stabletoolbench, vcr or openapi.")
    ],
    source: Annotated[Path, typer.Argument(help="A file or folder.", exists=True)],
    into: Annotated[Path, typer.Option(help="The world's directory.")],
    category: Annotated[
        str | None, typer.Option(help="The tool's category; for openapi (default: Imported).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bring data from elsewhere into a world, new or filled; nothing there is overwritten.

    \b
    toolbench        solution trees, query files, tool directories
    stabletoolbench  a cache of API responses (tool_response_cache)
    vcr              cassettes that vcrpy or pytest-recording made
    openapi          an OpenAPI 3 description, JSON or YAML
    \b
    Examples:
      toolreplay world import toolbench ../shared/toolbench --into worlds/toolbench
      toolreplay world import stabletoolbench tool_response_cache --into worlds/stable
      toolreplay world import vcr tests/cassettes --into worlds/mine
      toolreplay world import openapi petstore.yaml --category Shops --into worlds/mine
    """
    from dataclasses import asdict
    from importlib import import_module

    from sandbox.errors import BadInput

    if kind not in _IMPORTERS:
        raise BadInput(f"Nothing imports {kind!r}: take {', '.join(_IMPORTERS)}.")
    if category is not None and kind != "openapi":
        raise BadInput(f"--category is for openapi; {kind} brings its own categories.")
    importer = getattr(import_module(_IMPORTERS[kind]), f"import_{kind}")
    imported = importer(source, into, *([category] if category else []))
    if as_json:
        _print_json(asdict(imported))
        return
    typer.echo(f"{imported} into {into}")
    for path, reason in imported.skipped.items():
        typer.echo(f"Left out {path}: {reason}", err=True)


_IMPORTERS = {
    "toolbench": "sandbox.importers.toolbench",
    "stabletoolbench": "sandbox.importers.stabletoolbench",
    "vcr": "sandbox.importers.vcr",
    "openapi": "sandbox.importers.openapi",
}
"""The modules that import each kind, by a function `import_<kind>`."""


@world_app.command("stats")
def world_stats(
    world: Annotated[Path, typer.Argument(help="The world.")], as_json: AsJson = False
) -> None:
    """Count documents and recordings.

    \b
    Examples:
      toolreplay world stats cassettes/demo
    """
    from rich.table import Table

    from sandbox.world import World

    opened = World(world)
    counts = opened.store.counts()
    tools = list(opened.catalogue)
    documents = {
        "tools": len(tools),
        "apis": sum(len(tool.api_list) for tool in tools),
        "categories": len({tool.category for tool in tools}),
        "collections": len({name for tool in tools for name in tool.collections}),
        "models": opened.completions.models,
    }
    if as_json:
        _print_json({**opened.about, "documents": documents, "recorded": counts})
        return
    table = Table(title=f"{opened.about['name']}: recorded calls")
    for heading in ("Category", "Tools", "APIs", "Calls", "Recordings"):
        table.add_column(heading, justify="left" if heading == "Category" else "right")
    for row in counts:
        table.add_row(*(str(value) for value in row.values()))
    _print(table)
    typer.echo(
        f"Documents: {documents['tools']} tools, {documents['apis']} APIs, "
        f"{documents['categories']} categories, {documents['collections']} collections. "
        f"Completions of: {', '.join(opened.completions.models) or 'no model'}."
    )


@world_app.command("verify")
def verify_world(
    world: Annotated[Path, typer.Argument(help="The world.")],
    mend: Annotated[bool, typer.Option(help="Put right what can be put right.")] = False,
    secret: Annotated[
        list[str] | None,
        typer.Option(help="A variable of the environment whose value must not be in the world."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a world: broken or undocumented entries, leaked secrets, unfinished work.

    Exits with 1 when something is left that was not put right.

    \b
    Examples:
      toolreplay world verify cassettes/demo
      toolreplay world verify worlds/mine --secret MY_API_KEY --mend
    """
    import os

    from sandbox.verify import verify
    from sandbox.world import World

    names = ["RAPIDAPI_KEY", "OPENAI_API_KEY", *(secret or [])]
    secrets = [value for name in names if (value := os.environ.get(name))]
    problems = list(verify(World(world), secrets, mend))
    if as_json:
        _print_json([problem.to_json() for problem in problems])
    for problem in [] if as_json else problems:
        typer.echo(
            f"{problem.kind}: {problem.place}: {problem.what}"
            f"{' (mended)' if problem.mended else ''}"
        )
    left = sum(not problem.mended for problem in problems)
    if not as_json:
        typer.echo(f"{len(problems)} problems, {left} left." if problems else "All is well.")
    if left:
        raise typer.Exit(1)


@app.command()
def probe(
    world: Annotated[Path, typer.Argument(help="The world whose APIs to probe.")],
    drop: Annotated[bool, typer.Option(help="Take the worthless out of the documents.")] = False,
    times: Annotated[int, typer.Option(min=1, help="Calls per API.")] = 1,
    slow: Annotated[float, typer.Option(min=0.01, help="Seconds that are too long.")] = 5.0,
    key: Key = None,
    via: Via = None,
    host: Host = None,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, help="APIs at once.")] = 4,
    as_json: AsJson = False,
) -> None:
    """Call every API once and tell which fail, are slow, or answer with nothing of use.

    \b
    Examples:
      RAPIDAPI_KEY=... toolreplay probe worlds/mine
      RAPIDAPI_KEY=... toolreplay probe worlds/mine --times 3 --drop
    """
    from sandbox.policy import LivePolicy
    from sandbox.probe import drop as drop_worthless
    from sandbox.probe import probe as probe_all
    from sandbox.world import World
    from toolreplay.solving import live_client
    from toolreplay.tables import probe_table

    opened = World(world)
    hosts = frozenset(host) if host else None
    policy = LivePolicy(key, via, timeout=slow + 30, retries=0, hosts=hosts)
    total = sum(1 for _ in opened.catalogue.apis())
    probing = probe_all(opened.catalogue, live_client(opened, policy), times, slow, workers)
    with _progress() as progress:
        findings = list(progress.track(probing, total=total, description="Probing"))
    if drop:
        drop_worthless(opened.path / "tools", findings)
    if as_json:
        _print_json([finding.to_json() for finding in findings])
        return
    worthless = [finding for finding in findings if finding.reason]
    if worthless:
        _print(probe_table(worthless))
    typer.echo(f"{total - len(worthless)} of {total} APIs are worth keeping.")


@contextmanager
def _progress() -> "Iterator[Progress]":
    """Show progress on standard error, so that standard output stays clean."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield progress


def _print(what: "RenderableType") -> None:
    from rich.console import Console

    console = Console()
    Console(width=None if console.is_terminal else 140).print(what)


def _print_json(content: Any) -> None:
    typer.echo(json.dumps(content, ensure_ascii=False, indent=2))
