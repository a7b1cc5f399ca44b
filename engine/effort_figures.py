"""The figures of the effort report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.figures import BLUE, ORANGE, empty_panel, new_figure, panel_letter, thousands

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

DECISION_COLOURS = {
    "accepted": "#009E73",
    "edited": "#56B4E9",
    "added": "#CC79A7",
    "uncertain": "#E69F00",
    "rejected": "#D55E00",
    "replaced": "#6E6E6E",
}
OPERATOR_COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
OPERATOR_HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo")
"""Operators are told apart by hatch as well as by colour."""


def decisions(by_decision: Mapping[str, int], by_reason: Mapping[str, int], minutes: Array) -> Figure:
    """Outlines by decision (a) and by the reason of their rejection (b), and the time that an outline took (c).

    Parameters
    ----------
    by_decision, by_reason : number of outlines, in the order of the bars
    minutes : (n,) of each outline, NaN where unknown
    """
    figure = new_figure(62)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1.25, 1))
    _bars(left, by_decision, [DECISION_COLOURS[name] for name in by_decision], "no decision")
    _bars(middle, by_reason, [DECISION_COLOURS["rejected"]] * len(by_reason), "nothing rejected")
    _histogram(right, minutes, "Time of an outline (min)", "no time recorded")
    for axes, letter in ((left, "a"), (middle, "b"), (right, "c")):
        panel_letter(axes, letter)
    return figure


def edits(iou: Array, area_change_percent: Array, moved_m: Array) -> Figure:
    """What edits changed: IoU of an outline before and after (a), change of its area (b), how far its boundary moved (c).

    Parameters
    ----------
    iou, area_change_percent, moved_m : (n,) of each outline, NaN where it was not edited
    """
    figure = new_figure(58)
    panels = figure.subplots(1, 3)
    for axes, letter, values, label in zip(
        panels,
        "abc",
        (iou, area_change_percent, moved_m),
        ("IoU before and after editing", "Change of area (%)", "Mean boundary distance (m)"),
        strict=True,
    ):
        _histogram(axes, values, label, "nothing edited")
        panel_letter(axes, letter)
    return figure


def days(counts: Sequence[tuple[str, str, int]]) -> Figure:
    """Outlines decided on each day, by operator.

    Parameters
    ----------
    counts : day (ISO 8601), operator, number of outlines
    """
    figure = new_figure(58)
    axes = figure.subplots()
    axes.set_ylabel("Outlines decided")
    names = sorted({day for day, _, _ in counts})
    if not names:
        empty_panel(axes, "no decision")
        return figure
    below = np.zeros(len(names))
    for index, operator in enumerate(sorted({operator for _, operator, _ in counts})):
        height = np.array([sum(count for day, who, count in counts if (day, who) == (name, operator)) for name in names])
        colour, hatch = OPERATOR_COLOURS[index % 7], OPERATOR_HATCHES[index % 7]
        axes.bar(range(len(names)), height, 0.7, below, color=colour, hatch=hatch, edgecolor="white", linewidth=0, label=operator or "–")
        below += height
    step = -(-len(names) // 12)
    axes.set_xticks(range(0, len(names), step), names[::step])
    axes.set_xlim(-1.2, len(names) + 0.2)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _bars(axes: Axes, counts: Mapping[str, int], colours: Sequence[str], why_empty: str) -> None:
    axes.set_xlabel("Outlines")
    if not any(counts.values()):
        empty_panel(axes, why_empty)
        return
    axes.barh(range(len(counts)), list(counts.values()), 0.7, color=colours)
    for position, count in enumerate(counts.values()):
        axes.annotate(thousands(count), (count, position), (2, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_yticks(range(len(counts)), list(counts))
    axes.invert_yaxis()
    axes.set_xlim(0, 1.18 * max(counts.values()))
    _whole_numbers(axes.xaxis)


def _histogram(axes: Axes, values: Array, label: str, why_empty: str) -> None:
    axes.set_xlabel(label)
    known = values[np.isfinite(values)]
    if not len(known):
        empty_panel(axes, why_empty)
        return
    axes.set_ylabel("Outlines")
    low, high = np.quantile(known, [0.01, 0.99])
    bins = int(np.clip(np.sqrt(len(known)), 5, 25))
    edges = np.linspace(low, max(high, low + max(abs(low), 1) * 0.01), bins + 1)
    axes.hist(np.clip(known, edges[0], edges[-1]), edges.tolist(), color="#CFE3F1", edgecolor="black", linewidth=0.5)
    median = float(np.median(known))
    axes.axvline(median, color=ORANGE, linewidth=1.2)
    _whole_numbers(axes.yaxis)
    axes.set_title(f"median {median:.3g}, n = {thousands(len(known))}".replace("-", "−"), fontsize=7)


def _whole_numbers(axis: Axis) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 heavy

    axis.set_major_locator(MaxNLocator(nbins=5, integer=True))
