"""The command `solve`."""

from pathlib import Path
from typing import Annotated

import typer

from toolreplay.commands.options import Budget, Host, Key, Via, Workers
from toolreplay.commands.screen import progress_bar


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
    failures: Annotated[
        bool, typer.Option(help="Replay passing failures where nothing else is recorded.")
    ] = False,
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
    from toolreplay.modes import read_mode
    from toolreplay.solving import read_queries
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
        World(world, failures),
        out,
        model,
        workers=workers,
        settings=settings,
        base_url=base_url,
        observation_role="user" if observations_as == "user" else "tool",
        mode=read_mode(mode),
        policy=LivePolicy(key=key, via=via, hosts=frozenset(host) if host else None, budget=budget),
    )
    with progress_bar() as progress:
        for _ in progress.track(solved, total=total, description="Searching"):
            pass
    typer.echo(f"{total} answers in {out}/answers. Judge them: toolreplay eval {out}")
    unrecorded = (out / "unrecorded.jsonl").read_text(encoding="utf-8").count("\n")
    if unrecorded:
        typer.echo(
            f"{unrecorded} calls were not recorded. To record them where the APIs can be reached: "
            f"toolreplay record {world} --calls {out}/unrecorded.jsonl"
        )
