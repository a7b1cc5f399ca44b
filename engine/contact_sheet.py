"""A picture of training samples to look at before training: does every outline lie where the rock glacier is?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.figures import BLUE, ORANGE, WIDTH_IN, rendered, style
from engine.sample_files import KINDS, ROCK_GLACIER, SPLITS, UNKNOWN, Sample, SampleSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS, MOST = 6, 48
"""Samples in a row, and at most in all."""
LARGEST_SIDE = 320
"""Pixels of a sample as it is shown."""
STRETCH = (1.0, 98.0)
"""Percentiles of true colour, of all samples shown together, that are black and white: grey debris stays grey, dark samples stay dark."""
GAMMA = 0.6
"""Brightens debris beside snow."""
OUTLINE_COLOUR, UNKNOWN_COLOUR, NOTHING = "#F0E442", "#CC79A7", 0.85
COLOUR_OF = dict(zip(SPLITS, (BLUE, ORANGE), strict=True))


def contact_sheet(samples: SampleSet, path: Path) -> None:
    """Draw up to 48 samples, as many of each split and kind as their share asks for, and write them as PNG.

    Each is shown in true colour with the outlines of rock glaciers (yellow) and of what is unknown (pink, dashed); its frame and title say
    training or validation, positive or negative.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 heavy
    from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: PLC0415
    from matplotlib.lines import Line2D  # noqa: PLC0415

    shown = some_of_each(samples.samples, MOST)
    pictures = [_picture(samples, sample) for sample in shown]
    colours = stretched([image for image, _ in pictures])
    rows = -(-len(shown) // COLUMNS)
    cell = WIDTH_IN / COLUMNS
    with style():
        figure = Figure(figsize=(WIDTH_IN, rows * (cell + 0.16) + 0.5), layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02))
        grid = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
        for axes in grid[len(shown) :]:
            axes.set_axis_off()
        for axes, sample, image, (_, mask) in zip(grid, shown, colours, pictures, strict=False):
            _draw(axes, sample, image, mask)
        keys = [Line2D([], [], color=COLOUR_OF[name], linewidth=3, label=name) for name in SPLITS]
        keys += [
            Line2D([], [], color=OUTLINE_COLOUR, label="rock glacier"),
            Line2D([], [], color=UNKNOWN_COLOUR, linestyle="--", label="unknown"),
        ]
        figure.legend(handles=keys, loc="outside lower center", ncols=len(keys))
        figure.suptitle(f"{len(shown)} of {len(samples.samples)} samples", fontsize=8)
        path.write_bytes(rendered(figure, "png"))


def some_of_each(samples: tuple[Sample, ...], most: int) -> list[Sample]:
    """At most ``most`` samples, spread over the table, of each split and kind in proportion but at least one."""
    groups = [[sample for sample in samples if (sample.split, sample.kind) == (split, kind)] for split in SPLITS for kind in KINDS]
    groups = [group for group in groups if group]
    if len(samples) <= most:
        return [sample for group in groups for sample in group]
    spare = most - len(groups)
    chosen: list[Sample] = []
    for group in groups:
        count = 1 + int(spare * len(group) / len(samples))
        chosen += [group[int(i)] for i in np.linspace(0, len(group) - 1, min(count, len(group)))]
    return chosen


def _picture(samples: SampleSet, sample: Sample) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """True colour (rows, columns, 3) and mask (rows, columns), thinned to what can be seen."""
    image, mask = samples.read(sample)
    step = thinning(mask.shape)
    return image[:3, ::step, ::step].transpose(1, 2, 0), mask[::step, ::step]


def thinning(shape: tuple[int, ...]) -> int:
    """Every how many-th pixel of a sample can be seen."""
    return -(-max(shape) // LARGEST_SIDE)


def stretched(pictures: list[NDArray[np.float32]]) -> list[NDArray[np.floating]]:
    """True colours (rows, columns, 3) between 0 and 1, all with the same stretch; NaN where not observed."""
    seen = np.concatenate([image[np.isfinite(image)] for image in pictures])
    dark, bright = np.percentile(seen, STRETCH) if len(seen) else (0.0, 1.0)
    return [np.clip((image - dark) / max(bright - dark, 1e-6), 0, 1) ** GAMMA for image in pictures]


def show(axes: Axes, colours: NDArray[np.floating]) -> None:
    """Draw true colours, light grey where not observed, without ticks."""
    axes.imshow(np.where(np.isfinite(colours), colours, NOTHING), interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def outline(axes: Axes, inside: NDArray[np.bool_], colour: str, line: str = "-") -> None:
    """Draw the boundary of some pixels (rows, columns) of a picture, on black to be seen on any ground, closed along its edges."""
    if not inside.any():
        return
    limits = axes.axis()
    rows, columns = (np.arange(-1, size + 1) for size in inside.shape)
    closed = np.pad(inside, 1)
    axes.contour(columns, rows, closed, levels=[0.5], colors="black", linewidths=1.2)
    axes.contour(columns, rows, closed, levels=[0.5], colors=colour, linewidths=0.7, linestyles=line)
    axes.axis(limits)


def _draw(axes: Axes, sample: Sample, colours: NDArray[np.floating], mask: NDArray[np.uint8]) -> None:
    show(axes, colours)
    for label, colour, line in ((UNKNOWN, UNKNOWN_COLOUR, "--"), (ROCK_GLACIER, OUTLINE_COLOUR, "-")):
        outline(axes, (mask == label) & np.isfinite(colours).all(axis=2), colour, line)
    for side in axes.spines.values():
        side.set(visible=True, color=COLOUR_OF[sample.split], linewidth=2)
    axes.set_title(f"{sample.sample.lstrip('0')} {sample.kind}", fontsize=6, pad=2)
