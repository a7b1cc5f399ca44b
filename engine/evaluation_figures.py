"""The figures of the evaluation of a network: curves over the threshold, calibration, and the samples that went worst and best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.contact_sheet import OUTLINE_COLOUR, UNKNOWN_COLOUR, outline, show, stretched
from engine.figures import BLUE, GREY, ORANGE, WIDTH_IN, empty_panel, new_figure, panel_letter
from engine.sample_files import ROCK_GLACIER, UNKNOWN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = {"precision": (BLUE, "--"), "recall": (ORANGE, "-."), "f1": ("#CC79A7", ":"), "iou": ("#009E73", "-")}
NAMES = {"precision": "precision", "recall": "recall", "f1": "F1", "iou": "IoU"}
MARKED_COLOUR = "#56B4E9"
COLUMNS = 4


@dataclass(frozen=True)
class Picture:
    """A sample to look at: ``colours`` (rows, cols, 3) reflectance, ``mask`` and ``marked`` (rows, cols), what is written above it."""

    colours: NDArray[np.float32]
    mask: NDArray[np.uint8]
    marked: NDArray[np.bool_]
    title: str


def curves(sweep: Sequence[Mapping[str, Any]], threshold: float, best: float | None, bins: Sequence[Mapping[str, Any]]) -> Figure:
    """Rock glacier's figures over the threshold (a), and how often pixels of a probability are rock glacier (b).

    Parameters
    ----------
    sweep, bins : rows of :func:`engine.probability_accuracy.sweep` and :func:`engine.probability_accuracy.calibration`
    threshold, best : the one that was used, the one with the highest IoU
    """
    figure = new_figure(72)
    left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
    _over_the_threshold(left, sweep, threshold, best)
    _reliability(right, bins)
    panel_letter(left, "a")
    panel_letter(right, "b")
    return figure


def _over_the_threshold(axes: Axes, sweep: Sequence[Mapping[str, Any]], threshold: float, best: float | None) -> None:
    axes.set_xlabel("Threshold")
    axes.set_ylabel("Rock glacier")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    at = [row["threshold"] for row in sweep]
    for name, (colour, line) in CURVES.items():
        values = np.array([np.nan if row[name] is None else row[name] for row in sweep], dtype=float)
        axes.plot(at, values, color=colour, linestyle=line, label=NAMES[name])
    axes.axvline(threshold, color="black", linewidth=0.8, label=f"used, {threshold:g}")
    if best is not None:
        axes.axvline(best, color="black", linewidth=0.8, linestyle=(0, (2, 2)), label=f"highest IoU, {best:g}")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3)


def _reliability(axes: Axes, bins: Sequence[Mapping[str, Any]]) -> None:
    axes.set_xlabel("Mean probability")
    axes.set_ylabel("Share of rock glacier")
    known = [row for row in bins if row["pixels"]]
    if not known:
        empty_panel(axes, "no pixel counts")
        return
    total = sum(row["pixels"] for row in known)
    width = bins[0]["to"] - bins[0]["from"]
    middles = [(row["from"] + row["to"]) / 2 for row in bins]
    axes.bar(middles, [row["pixels"] / total for row in bins], width, color="#DDDDDD", linewidth=0, label="share of the pixels")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (5, 2)), label="calibrated")
    axes.plot(
        [row["mean_probability"] for row in known],
        [row["rock_glacier_share"] for row in known],
        "o-",
        color=BLUE,
        markersize=3,
        label="found",
    )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_box_aspect(1)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, columnspacing=1.0)


def gallery(pictures: Sequence[Picture], title: str) -> Figure:
    """Samples in true colour with one stretch for all, what the mask says (yellow; unknown: pink) and what was marked (blue)."""
    from matplotlib.colors import ListedColormap  # noqa: PLC0415 heavy
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: PLC0415
    from matplotlib.lines import Line2D  # noqa: PLC0415

    if not pictures:
        figure = new_figure(30)
        empty_panel(figure.subplots(), "no sample to show")
        return figure
    rows = -(-len(pictures) // COLUMNS)
    cell = WIDTH_IN / COLUMNS
    figure = Figure(figsize=(WIDTH_IN, rows * (cell + 0.2) + 0.6), layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03))
    grid = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in grid[len(pictures) :]:
        axes.set_axis_off()
    for axes, picture, colours in zip(grid, pictures, stretched([picture.colours for picture in pictures]), strict=False):
        show(axes, colours)
        outline(axes, picture.mask == UNKNOWN, UNKNOWN_COLOUR, "--")
        outline(axes, picture.mask == ROCK_GLACIER, OUTLINE_COLOUR)
        outline(axes, picture.marked, MARKED_COLOUR)
        axes.imshow(np.where(picture.marked, 1.0, np.nan), cmap=ListedColormap([MARKED_COLOUR]), alpha=0.25, interpolation="nearest")
        axes.set_title(picture.title, fontsize=6, pad=2)
    keys = [
        Line2D([], [], color=OUTLINE_COLOUR, label="rock glacier in the mask"),
        Line2D([], [], color=MARKED_COLOUR, label="marked"),
        Line2D([], [], color=UNKNOWN_COLOUR, linestyle="--", label="unknown"),
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys))
    figure.suptitle(title, fontsize=8)
    return figure
