"""What commands show: progress, tables, JSON."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress


@contextmanager
def progress_bar() -> "Iterator[Progress]":
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


def show(what: "RenderableType") -> None:
    """Print a table, as wide as the terminal or 140 columns where there is none."""
    from rich.console import Console

    console = Console()
    Console(width=None if console.is_terminal else 140).print(what)


def show_json(content: Any) -> None:
    """Print JSON, indented."""
    typer.echo(json.dumps(content, ensure_ascii=False, indent=2))
