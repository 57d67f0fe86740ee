"""Draws the figures of docs/benchmarks.md, from its own tables: `python docs/plots.py [FILE]`."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

HERE = Path(__file__).parent
OURS, THEIRS = "#1f4e8c", "#c2571a"

Row = list[str]


def table(text: str, heading: str) -> Iterator[Row]:
    """Give the cells of the first table below a heading, without its head."""
    section = text.split(f"\n## {heading}\n")[1]
    lines = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert lines, heading
    for line in lines[0].splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def number(cell: str) -> float:
    """Read a figure; what the table leaves open is not drawn."""
    found = re.match(r"[\d,.]+", cell)
    return float(found[0].replace(",", "")) if found else float("nan")


def look_ups(axes: Axes, rows: list[Row]) -> None:
    """Draw how long a look-up takes, by the number of recordings."""
    sizes = [number(row[0]) for row in rows]
    for name, column, colour in (("vcrpy", 5, THEIRS), ("cold", 3, "#7fa3d1"), ("warm", 1, OURS)):
        times = [number(row[column]) for row in rows]
        axes.plot(sizes, times, marker="o", markersize=4, color=colour, label=name)
    axes.set(xscale="log", yscale="log", xlabel="recordings")
    axes.legend(frameon=False)


def bars(axes: Axes, figures: dict[str, float], ours: Callable[[str], bool]) -> None:
    """Draw figures as bars, ours in another colour than the peers'."""
    colours = [OURS if ours(name) else THEIRS for name in figures]
    drawn = axes.barh(list(figures), list(figures.values()), color=colours)
    axes.bar_label(drawn, [f"{value:,.0f}" for value in figures.values()], padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.2)


def importing(axes: Axes, rows: list[Row]) -> None:
    """Draw the first row: imported and indexed."""
    first = rows[0]
    named = dict(zip(("shards", "cassettes", "vcrpy's\nserializer"), first[1:], strict=True))
    bars(axes, {n: number(c) for n, c in named.items()}, lambda name: "vcrpy" not in name)


def gateway(axes: Axes, rows: list[Row]) -> None:
    """Draw the requests that each server answered."""
    served = [row for row in rows if row[1] != "times"]
    bars(
        axes,
        {f"{row[1]}, {row[0]}": number(row[2]) for row in served},
        lambda name: name.startswith("toolreplay"),
    )


def training(axes: Axes, rows: list[Row]) -> None:
    """Draw what each way of batching brings."""
    names = ("packed,\nread once", "packed", "padded to\ntheir longest", "padded to\n8,192")
    figures = dict(zip(names, (number(row[1]) for row in rows), strict=True))
    bars(axes, figures, lambda name: name.startswith("packed"))


PANELS: dict[str, tuple[str, Callable[[Axes, list[Row]], None]]] = {
    "Looking up a recorded call": ("a look-up, microseconds", look_ups),
    "Importing recorded responses": ("responses imported a second", importing),
    "The gateway": ("requests a second, by responses per API", gateway),
    "Training": ("useful tokens a CPU second", training),
}


def main() -> None:
    """Draw all panels; the same tables give the same bytes."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "benchmarks.svg"
    text = (HERE / "benchmarks.md").read_text("utf-8")
    style = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context({**style, "svg.hashsalt": "benchmarks", "axes.titlesize": 10}):
        figure = Figure(figsize=(8.5, 6), layout="constrained")
        for axes, (heading, (title, draw)) in zip(
            figure.subplots(2, 2).flat, PANELS.items(), strict=True
        ):
            draw(axes, list(table(text, heading)))
            axes.set_title(title)
        figure.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    main()
