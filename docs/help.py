"""The directive `help`: every command of the command line, with what `--help` prints."""

from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer.main import get_command
from typer.testing import CliRunner

from toolreplay.cli import app

COLUMNS = "90"


def commands() -> Iterator[list[str]]:
    """Name every command, those below a group too, in the order of `toolreplay --help`."""

    def walk(command: Any, path: list[str]) -> Iterator[list[str]]:
        below = getattr(command, "commands", {})
        if not below:
            yield path
        for name, inner in below.items():
            yield from walk(inner, [*path, name])

    yield from walk(get_command(app), [])


def help_of(path: list[str]) -> str:
    """Give what a command prints with `--help`."""
    asked = CliRunner(env={"COLUMNS": COLUMNS, "TERMINAL_WIDTH": COLUMNS}).invoke(
        app, [*path, "--help"], prog_name="toolreplay"
    )
    return asked.stdout.strip()


class Help(SphinxDirective):
    """A section for each command."""

    def run(self) -> list[nodes.Node]:
        """Ask each command for its help."""
        sections: list[nodes.Node] = []
        for path in [[], *commands()]:
            name = " ".join(["toolreplay", *path])
            section = nodes.section(ids=["-".join(["toolreplay", *path])], names=[name])
            shown = nodes.literal_block(help_of(path), help_of(path), language="text")
            section += [nodes.title(text=name), shown]
            sections.append(section)
        return sections


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directive known to Sphinx."""
    app.add_directive("help", Help)
    return {"parallel_read_safe": True}
