"""The figure of compared networks: a dot for each run, a line for the mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from engine.figures import GREY, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
"""Of folds, for the colour-blind (Okabe and Ito 2008)."""
ROW_MM, MARGIN_MM = 6, 22


def runs_of_networks(
    values: Sequence[tuple[str, str, float | None]], means: Mapping[str, float | None], folds: Sequence[str], axis: str
) -> Figure:
    """A row for each network.

    Parameters
    ----------
    values : label, fold and figure of each run
    means : label -> mean over folds and seeds, None where it is not known; the order of the rows
    folds : their colours' order
    axis : what the figure is
    """
    figure = new_figure(MARGIN_MM + ROW_MM * len(means))
    axes = figure.subplots()
    rows = {label: len(means) - number for number, label in enumerate(means)}
    for number, fold in enumerate(folds):
        known = [(value, rows[label]) for label, of, value in values if of == fold and value is not None]
        shift = 0.3 * ((number + 0.5) / len(folds) - 0.5)
        axes.plot(
            [value for value, _ in known],
            [row - shift for _, row in known],
            "o",
            color=COLOURS[number % len(COLOURS)],
            markersize=3,
            label=fold,
        )
    for label, mean in means.items():
        if mean is not None:
            axes.plot([mean, mean], [rows[label] - 0.35, rows[label] + 0.35], color=GREY, linewidth=1.5)
    axes.set_yticks(list(rows.values()), list(rows))
    axes.set_ylim(0.4, len(means) + 0.6)
    axes.set_xlim(left=0)
    axes.set_xlabel(axis)
    figure.legend(loc="outside lower center", ncols=min(8, len(folds)), title="left out")
    return figure
