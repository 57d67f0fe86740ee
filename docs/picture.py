"""Draw the picture in the README: the table of the demo, as `toolreplay demo` prints it.

python docs/picture.py docs/demo.svg
"""

import sys
import tempfile
from pathlib import Path

from rich.console import Console

from toolreplay.demo import run_demo
from toolreplay.tables import comparison_table


def draw(file: Path) -> None:
    """Run the demo and save its table as SVG."""
    with tempfile.TemporaryDirectory() as folder:
        evaluations = run_demo(Path(folder), workers=2, advance=lambda method, total: None)
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=140, file=nowhere)
        console.print(comparison_table(evaluations))
        svg = console.export_svg(title="make demo", unique_id="demo")
    file.write_text(svg + "\n", encoding="utf-8")


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
