"""Loss curves: in the terminal while training runs, and as a picture."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import plotille
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sandbox.disk import replacing

SMOOTHING = 0.1
"""Weight of the newest step in the smoothed loss."""


def smoothed(losses: Sequence[float]) -> list[float]:
    """Give the running mean of the losses in which each step fades by `SMOOTHING`.

    As in Adam's moments the mean is not drawn to zero at the start.
    """
    means, total, weight = [], 0.0, 0.0
    for loss in losses:
        total = (1 - SMOOTHING) * total + SMOOTHING * loss
        weight = (1 - SMOOTHING) * weight + SMOOTHING
        means.append(total / weight)
    return means


def terminal_curve(losses: Sequence[float], width: int = 60, height: int = 10) -> str:
    """Draw the smoothed loss in Braille characters.

    Args:
        losses: one a step, from step 1 on.
        width: columns of the drawing without its axis.
        height: lines of it.
    """
    figure = plotille.Figure()
    figure.width, figure.height, figure.with_colors = width, height, False
    figure.x_label, figure.y_label = "step", "loss"
    figure.set_x_limits(1, max(len(losses), 2))
    figure.set_y_limits(0, max(losses) * 1.05 or 1.0)
    figure.register_label_formatter(float, lambda value, *_, **__: f"{value:8.3g}")
    figure.register_label_formatter(int, lambda value, *_, **__: f"{value:8.3g}")
    figure.plot(range(1, len(losses) + 1), smoothed(losses))
    return str(figure.show())


def draw_curve(losses: Sequence[float], path: Path) -> None:
    """Draw the loss of each step and the smoothed one as a PNG; the same losses, the same bytes."""
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(6, 3.5), dpi=120, layout="constrained")
        axes = figure.subplots()
        steps = range(1, len(losses) + 1)
        axes.plot(steps, losses, color="#9db7d5", linewidth=0.8, label="each step")
        axes.plot(steps, smoothed(losses), color="#1f4e8c", linewidth=1.6, label="smoothed")
        axes.set(xlabel="step", ylabel="loss per supervised token", ylim=(0, None))
        axes.legend(frameon=False)
    with replacing(path) as unfinished:
        FigureCanvasAgg(figure).print_figure(unfinished, format="png", metadata={"Software": None})
