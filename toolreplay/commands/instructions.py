"""The command `instructions`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolreplay.commands.options import AsJson, Budget, ExecutorName, Host, Key, ModelUrl, Via
from toolreplay.commands.screen import progress_bar, show, show_json

if TYPE_CHECKING:
    from sandbox.catalogue import Catalogue
    from sandbox.world import World
    from trainer.instructions.draft import Draft
    from trainer.instructions.maker import Maker
    from trainer.instructions.sample import Sample
    from trainer.instructions.split import Part


def instructions(
    world: Annotated[Path, typer.Argument(help="The world to write instructions for.")],
    kind: Annotated[
        str, typer.Option(help="I1 (one tool), I2 (tools of a category), I3 (of a collection).")
    ],
    out: Annotated[Path, typer.Option(help="The query file to write; with --split, the folder.")],
    number: Annotated[int, typer.Option("-n", min=1, help="Instructions to make.")] = 100,
    writer: Annotated[
        str,
        typer.Option(
            help="phrasings (those of the world), documents (requests and answers are made up), "
            "openai:NAME, llama:FILE or recorded."
        ),
    ] = "phrasings",
    part: Annotated[
        str | None,
        typer.Option(help="Inst (training tools, the default), Tool or Cat (held-out ones)."),
    ] = None,
    split: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=0.99, help="Make test sets of this share as well, by the test settings."
        ),
    ] = None,
    set_name: Annotated[
        str | None,
        typer.Option("--set", help="The set's name (default: train-I1, or I1-Tool for tests)."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seeds what is drawn.")] = 0,
    apis_per_tool: Annotated[int, typer.Option(min=1, help="APIs of a tool that are offered.")] = 3,
    least: Annotated[int, typer.Option(min=1, help="Fewest relevant APIs.")] = 2,
    temperature: Annotated[float, typer.Option(min=0, help="Of a model.")] = 0.9,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a model's answer.")] = 3072,
    plain: Annotated[
        bool, typer.Option(help="Ask a model in words alone, without holding it to a schema.")
    ] = False,
    unsolvable: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Share of requests by phrasings or documents that nothing offered can meet.",
        ),
    ] = 0.08,
    base_url: ModelUrl = None,
    mode: Annotated[
        str,
        typer.Option(help="How calls of phrasings are answered: replay, simulate, live, refresh."),
    ] = "replay",
    key: Key = None,
    via: Via = None,
    host: Host = None,
    budget: Budget = None,
    workers: Annotated[
        int, typer.Option("--workers", "-w", min=1, help="Samples to write over at once.")
    ] = 1,
    executor: ExecutorName = "local",
    as_json: AsJson = False,
) -> None:
    """Make instructions: sample APIs, have requests written over them, drop what is no good.

    What a model writes goes onto the world's tape: a making that was stopped goes on without asking
    twice, and `--writer recorded` repeats it. Nothing near the world's own instructions is kept.

    \b
    Examples:
      toolreplay instructions worlds/mine --kind I1 -n 200 --writer openai:gpt-4o-mini \\
          --out training/I1.json
      toolreplay instructions worlds/mine --kind I2 -n 200 --out training/I2.json
      toolreplay instructions worlds/mine --kind I1 -n 300 --split 0.1 --out sets/I1
    """
    from math import ceil

    from sandbox.errors import BadInput
    from sandbox.policy import LivePolicy
    from sandbox.world import World
    from toolreplay.instructing import Chosen, opened_maker
    from toolreplay.modes import read_mode
    from toolreplay.tables import making_table
    from trainer.instructions import KINDS, HeldOut, samples
    from trainer.instructions.division import divide
    from trainer.instructions.draft import write_drafts
    from trainer.instructions.filters import Filters

    if kind not in KINDS:
        raise BadInput(f"No kind of instruction {kind!r}: take {', '.join(KINDS)}.")
    if split and (part or set_name):
        raise BadInput("--split makes the sets of all parts: leave --part and --set out.")
    opened = World(world)
    catalogues = _catalogues(opened, kind, part, split is not None)
    counts = {p: number if p == "Inst" or not split else ceil(number * split) for p in catalogues}
    policy = LivePolicy(key=key, via=via, hosts=frozenset(host) if host else None, budget=budget)
    chosen = Chosen(
        writer, read_mode(mode), policy, base_url, temperature, max_tokens, plain, unsolvable
    )
    making = opened_maker(opened, chosen, Filters(opened, least), workers, executor)
    drawn = {
        p: samples(catalogue, kind, seed, apis_per_tool) for p, catalogue in catalogues.items()
    }
    with making as maker:
        drafts = _make(maker, drawn, counts)
    statistics = maker.statistics()
    if split:
        division = divide(drafts, HeldOut.read(world), opened.catalogue, split, seed)
        sets = {f"train-{kind}": division.training, **division.tests}
        statistics["left_out"] = dict(sorted(division.left_out.items()))
        files = {name: out / f"{name}.json" for name in sets}
    else:
        name = set_name or (f"{kind}-{part}" if part in ("Tool", "Cat") else f"train-{kind}")
        sets, files = {name: drafts}, {name: out}
    for name, made in sets.items():
        write_drafts(files[name], made, name)
    statistics["sets"] = {name: len(made) for name, made in sets.items()}
    if as_json:
        show_json(statistics)
        return
    show(making_table(statistics))
    for name, made in sets.items():
        typer.echo(f"{len(made)} instructions of the set {name} in {files[name]}")
    if len(drafts) < sum(counts.values()):
        _tell_of_fewer(sum(counts.values()))


def _make(
    maker: "Maker", drawn: "dict[Part, Iterator[Sample]]", counts: "dict[Part, int]"
) -> "list[Draft]":
    """Have drafts written over the samples of each part, with a bar that counts them."""
    drafts = []
    with progress_bar() as progress:
        task = progress.add_task("Writing", total=sum(counts.values()))
        for part, samples in drawn.items():
            for draft in maker.make(samples, counts[part]):
                drafts.append(draft)
                progress.update(task, advance=1)
    return drafts


def _tell_of_fewer(wanted: int) -> None:
    from trainer.instructions.maker import BARREN

    typer.echo(
        f"{wanted} were wanted: the last {BARREN} samples brought nothing new. "
        f"More phrasings, APIs or recordings, another --mode or a model bring more.",
        err=True,
    )


def _catalogues(
    world: "World", kind: str, part: str | None, split: bool
) -> "dict[Part, Catalogue]":
    """Give the tools to sample from: one part's, or those of all parts that a split has."""
    from sandbox.errors import BadInput
    from trainer.instructions.division import SETTINGS
    from trainer.instructions.split import PARTS, HeldOut

    held_out = HeldOut.read(world.path)
    chosen: list[Part] = [p for p in PARTS if p == (part or "Inst")]
    if not chosen:
        raise BadInput(f"No part {part!r}: take {', '.join(PARTS)}.")
    if split:
        chosen = [p for p in PARTS if f"{kind}-{p}" in SETTINGS]
    found = {p: held_out.catalogue(world.catalogue, p) for p in chosen}
    return {p: catalogue for p, catalogue in found.items() if len(catalogue) or not split}
