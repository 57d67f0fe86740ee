"""The commands below `world`."""

from pathlib import Path
from typing import Annotated

import typer

from toolreplay.commands.options import AsJson
from toolreplay.commands.screen import show, show_json

app = typer.Typer(no_args_is_help=True, help="Import worlds and look into them.")


@app.command("import")
def import_world(
    kind: Annotated[
        str, typer.Argument(help="What it is: toolbench, stabletoolbench, vcr or openapi.")
    ],
    source: Annotated[Path, typer.Argument(help="A file or folder.", exists=True)],
    into: Annotated[Path, typer.Option(help="The world's directory.")],
    category: Annotated[
        str | None, typer.Option(help="The tool's category; for openapi (default: Imported).")
    ] = None,
    shards: Annotated[
        bool,
        typer.Option(
            help="Keep the recordings of a new world in compressed shards: for very many of them."
        ),
    ] = False,
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
      toolreplay world import stabletoolbench tool_response_cache --into worlds/stable --shards
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
    if shards and kind == "openapi":
        raise BadInput("--shards is for recordings; openapi brings documents alone.")
    importer = getattr(import_module(_IMPORTERS[kind]), f"import_{kind}")
    more = {"category": category} if category else {"shards": True} if shards else {}
    imported = importer(source, into, **more)
    if as_json:
        show_json(asdict(imported))
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


@app.command("stats")
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
    simulated = sum(1 for _ in opened.simulation)
    if as_json:
        show_json(
            {
                **opened.about,
                "documents": documents,
                "recorded": counts,
                "simulated": simulated,
            }
        )
        return
    table = Table(title=f"{opened.about['name']}: recorded calls")
    for heading in ("Category", "Tools", "APIs", "Calls", "Recordings"):
        table.add_column(heading, justify="left" if heading == "Category" else "right")
    for row in counts:
        table.add_row(*(str(value) for value in row.values()))
    show(table)
    typer.echo(
        f"Documents: {documents['tools']} tools, {documents['apis']} APIs, "
        f"{documents['categories']} categories, {documents['collections']} collections. "
        f"Simulated answers: {simulated}. "
        f"Completions of: {', '.join(opened.completions.models) or 'no model'}."
    )


@app.command("verify")
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
        show_json([problem.to_json() for problem in problems])
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


@app.command("leaks")
def world_leaks(
    world: Annotated[Path, typer.Argument(help="The world, with its tests.")],
    training: Annotated[list[Path], typer.Argument(help="Query files to train on, or folders.")],
    as_json: AsJson = False,
) -> None:
    """Check that nothing of the world's tests is in training instructions.

    Looks for held-out tools and categories, for the words of a test, for eight words in a row of
    one, and for a test's call with the same arguments. Exits with 1 when something leaks.

    \b
    Examples:
      toolreplay world leaks cassettes/demo training/I1.json
    """
    from sandbox.world import World
    from toolreplay.solving import read_queries
    from trainer.instructions import HeldOut
    from trainer.instructions.leak import leaks
    from trainer.instructions.reserved import read_tests

    opened = World(world)
    asked = read_queries(training)
    held_out = HeldOut.read(world)
    found = list(leaks(asked, read_tests(world), held_out, opened.catalogue))
    if as_json:
        show_json([leak.to_json() for leak in found])
    else:
        for leak in found:
            typer.echo(
                f"{leak.instruction}: {leak.kind}{f' as {leak.test}' if leak.test else ''}: "
                f"{leak.what}"
            )
        typer.echo(f"{len(asked)} instructions, {len(found)} leaks.")
    if found:
        raise typer.Exit(1)


@app.command("compact")
def compact_world(world: Annotated[Path, typer.Argument(help="The world.")]) -> None:
    """Put a world's shards into one, without the recordings that later ones replaced.

    \b
    Examples:
      toolreplay world compact worlds/stable
    """
    from sandbox.compact import compact
    from sandbox.world import World

    before, now = compact(World(world))
    typer.echo(f"{before:,} bytes of shards before, {now:,} now.")


@app.command("load")
def load_world(
    world: Annotated[Path, typer.Argument(help="The world.")],
    store: Annotated[str, typer.Option(envvar="TOOLREPLAY_STORE", help="postgresql://HOST/NAME.")],
) -> None:
    """Copy a world's recordings into PostgreSQL, where runs on many machines read them.

    A database holds one world; loading again replaces it, and readers see the old one meanwhile.

    \b
    Examples:
      createdb -h db.internal mine
      toolreplay world load worlds/mine --store postgresql://db.internal/mine
      toolreplay solve queries.json --world worlds/mine --store postgresql://db.internal/mine \\
          --executor ray --workers 64 --out runs/mine
    """
    from sandbox.postgres import load
    from sandbox.world import World

    typer.echo(f"{load(World(world), store):,} recordings loaded.")
