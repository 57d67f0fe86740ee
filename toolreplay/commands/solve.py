"""The command `solve`."""

from pathlib import Path
from typing import Annotated

import typer

from toolreplay.commands.options import (
    Budget,
    ExecutorName,
    Host,
    Key,
    ModelUrl,
    SimulatorName,
    SimulatorUrl,
    State,
    Store,
    Via,
    Workers,
)
from toolreplay.commands.screen import progress_bar


def solve(
    queries: Annotated[list[Path], typer.Argument(help="Query files, or a folder of them.")],
    world: Annotated[Path, typer.Option(help="The world that answers API calls.")],
    out: Annotated[Path, typer.Option(help="The run directory; an unfinished run goes on.")],
    model: Annotated[
        str,
        typer.Option(
            help="recorded, recorded:NAME, openai:NAME, llama:FILE, planner or planner:fields."
        ),
    ] = "recorded",
    method: Annotated[
        str,
        typer.Option(help="dfsdt, dfs, react or react@N; +doubt goes on from doubtful answers."),
    ] = "dfsdt",
    workers: Workers = 1,
    executor: ExecutorName = "local",
    store: Store = None,
    first: Annotated[
        int | None, typer.Option(min=1, help="Only so many instructions, from the beginning.")
    ] = None,
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
        bool, typer.Option(help="Replay, and stop at the first API call that is not recorded.")
    ] = False,
    compress: Annotated[
        bool, typer.Option(help="Shorten long API answers to the fields that the model names.")
    ] = False,
    base_url: ModelUrl = None,
    observations_as: Annotated[
        str,
        typer.Option(help="tool or user: the role that carries observations to the server."),
    ] = "tool",
    mode: Annotated[
        str | None,
        typer.Option(
            help="replay, simulate (the default), live (record what is new) or refresh (all)."
        ),
    ] = None,
    simulator: SimulatorName = "auto",
    simulator_url: SimulatorUrl = None,
    state: State = False,
    retrieve: Annotated[
        int | None,
        typer.Option(min=1, help="Open domain: offer so many retrieved APIs, not those named."),
    ] = None,
    retriever: Annotated[
        Path | None,
        typer.Option(help="Retrieves them: a trained retriever; by default MiniLM, untrained."),
    ] = None,
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
          --method react --max-calls 16 --max-tokens 160 --out runs/react
      toolreplay solve queries.json --world worlds/mine --model openai:gpt-4o-mini \\
          --method dfsdt --workers 4 --out runs/mine
      toolreplay solve queries.json --world worlds/mine --model openai:gpt-4o-mini \\
          --simulator openai:gpt-4o-mini --state --out runs/simulated
      toolreplay solve queries.json --world worlds/mine --model llama:gemma-3-270m-q4_k_m \\
          --first 5 --max-calls 10 --max-tokens 80 --out runs/local
      toolreplay solve queries.json --world worlds/mine --model openai:gpt-4o-mini \\
          --method dfsdt+doubt --max-calls 16 --out runs/doubting
      toolreplay solve requests.json --world worlds/mine --model openai:gpt-4o-mini \\
          --retrieve 5 --retriever retrievers/mine --out runs/open
      toolreplay solve queries.json --world worlds/mine --model openai:gpt-4o-mini \\
          --executor ray --workers 64 --store postgresql://db.internal/mine --out runs/large
    """
    from sandbox.errors import BadInput
    from sandbox.policy import LivePolicy
    from sandbox.world import World
    from solver.method import Method
    from solver.run import Settings
    from solver.search import Drawing, Limits
    from toolreplay.commands.retrieve import opened_retriever
    from toolreplay.modes import read_mode
    from toolreplay.simulators import open_simulator
    from toolreplay.solving import read_queries
    from toolreplay.solving import solve as solve_queries

    if observations_as not in ("tool", "user"):
        raise BadInput(f"--observations-as {observations_as}: take tool or user.")
    chosen_mode = read_mode(mode or ("replay" if strict else "simulate"))
    if strict and chosen_mode != "replay":
        raise BadInput(f"--strict replays: it does not go with --mode {mode}.")
    total = len(read_queries(queries)[:first])
    opened = World(world, failures, store)
    if retriever and not retrieve:
        raise BadInput("--retriever says who retrieves; say how many APIs, too: --retrieve 5.")
    answers = open_simulator(simulator, opened, state, simulator_url or base_url)
    limits = Limits(depth=depth, width=width, model_calls=max_calls)
    settings = Settings(
        None if as_recorded else Method.parse(method, limits),
        Drawing(temperature, seed, max_tokens, frequency_penalty),
        observation_limit,
        strict,
        compress,
    )
    solved = solve_queries(
        queries,
        opened,
        out,
        model,
        workers=workers,
        settings=settings,
        base_url=base_url,
        observation_role="user" if observations_as == "user" else "tool",
        mode=chosen_mode,
        simulator=answers,
        policy=LivePolicy(key=key, via=via, hosts=frozenset(host) if host else None, budget=budget),
        first=first,
        retriever=opened_retriever(opened, retriever) if retrieve else None,
        retrieve=retrieve or 0,
        executor=executor,
    )
    if chosen_mode == "simulate":
        typer.echo(f"Unseen API calls are simulated by {answers}.", err=True)
    with progress_bar() as progress:
        task = progress.add_task("Searching", total=total)
        for _ in solved:
            progress.update(task, advance=1, description=_pace(model))
    typer.echo(f"{total} answers in {out}/answers. Judge them: toolreplay eval {out}")
    unrecorded = (out / "unrecorded.jsonl").read_text(encoding="utf-8").count("\n")
    if unrecorded:
        typer.echo(
            f"{unrecorded} calls were not recorded. To record them where the APIs can be reached: "
            f"toolreplay record {world} --calls {out}/unrecorded.jsonl"
        )


def _pace(model: str) -> str:
    """Say what is going on, and how fast a model in process is."""
    kind, _, spec = model.partition(":")
    if kind != "llama":
        return "Searching"
    from toolreplay.models import open_local

    speed = open_local(spec).speed()
    return f"Searching, {speed.tokens_per_second:.0f} tokens/s"
