"""The command `doctor`."""

import typer

from toolreplay.commands.options import AsJson
from toolreplay.commands.screen import show, show_json


def doctor(as_json: AsJson = False) -> None:
    """Say what is installed, what is missing, and how to get it.

    Exits with 1 when the base install or the world that ships is broken; what is optional may be
    missing.

    \b
    Examples:
      toolreplay doctor
      toolreplay doctor --json
    """
    from rich.table import Table
    from rich.text import Text

    from toolreplay import __version__
    from toolreplay.doctor import examine

    findings = list(examine())
    if as_json:
        show_json([finding.to_json() for finding in findings])
    else:
        table = Table(title=f"toolreplay {__version__}", show_lines=True)
        for heading in ("Part", "State", "Found", "How to get it"):
            table.add_column(heading, overflow="fold")
        for finding in findings:
            cells = (finding.part, finding.state, finding.what, finding.remedy)
            table.add_row(*map(Text, cells))
        show(table)
    if any(finding.vital and finding.state != "ok" for finding in findings):
        raise typer.Exit(1)
