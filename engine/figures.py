"""The figures of the accuracy report, and what all figures share. As they go into a paper: 170 mm wide, sans-serif, for the colour-blind.

Source
------
Lin et al. (2024), Figures 9 and 11. Colours: Okabe and Ito (2008), Color universal design.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

WIDTH_IN = 170 / 25.4
STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Arial", "Helvetica", "Liberation Sans", "DejaVu Sans"],
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.0,
    "axes.unicode_minus": True,
    "mathtext.default": "regular",
    "svg.fonttype": "path",
    "svg.hashsalt": "rock glacier",
    "savefig.facecolor": "white",
}
PIXELS_PER_INCH = {"svg": 200, "png": 300}
"""Of what is drawn as pixels within an SVG, and of a PNG."""

KIND_COLOURS = {
    "1-1": "#009E73",
    "n-1": "#E69F00",
    "1-n": "#56B4E9",
    "n-m": "#CC79A7",
    "missed": "#D55E00",
    "false": "#000000",
}
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#6E6E6E"
MAP_WIDTH_MM = 145.0
LEAST_ON_PAPER_MM = 1.2
"""Outlines whose median size on the map is less are drawn as dots."""
FEW, GOLDEN_RATIO = 50, 0.618
"""Up to so many values are shown beside their box, each, spread by multiples of the golden ratio."""
MANY = 3000
"""More points than these are drawn as pixels within an SVG."""


@contextmanager
def style() -> Iterator[None]:
    """The style that figures are made and saved in."""
    import matplotlib  # noqa: PLC0415 heavy

    with matplotlib.rc_context(STYLE):
        yield


def rendered(figure: Figure, file_format: str) -> bytes:
    """A figure as the bytes of an ``svg`` or ``png`` file, the same for the same figure."""
    target = io.BytesIO()
    metadata = {"Date": None} if file_format == "svg" else {"Software": None}
    figure.savefig(target, format=file_format, dpi=PIXELS_PER_INCH[file_format], metadata=metadata)
    return target.getvalue()


def areas(
    reference_km2: Array,
    predicted_km2: Array,
    size_class: NDArray[np.intp],
    size_classes: Sequence[tuple[str, str]],
    regression: Mapping[str, Any],
) -> Figure:
    """Areas on a 1:1 line with their regression (a), and box plots of their deviation by size class (b).

    Parameters
    ----------
    reference_km2, predicted_km2 : (n,) areas of the two sides of each correspondence, square kilometres, more than 0
    size_class : (n,) index into ``size_classes``
    size_classes : name and range of each, such as ``("small", "< 0.10")``
    regression : ``slope``, ``intercept_km2``, ``r2``; None or NaN where there are too few

    Source
    ------
    Lin et al. (2024), Figures 9 and 11.
    """
    figure = new_figure(78)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
    _scatter(left, reference_km2, predicted_km2, regression)
    deviation = 100 * (predicted_km2 - reference_km2) / reference_km2
    _boxes(right, {f"{name}\n{bounds}": deviation[size_class == index] for index, (name, bounds) in enumerate(size_classes)})
    right.set_xlabel("Size class, reference area (km²)")
    right.set_ylabel("Area deviation (%)")
    panel_letter(left, "a")
    panel_letter(right, "b")
    return figure


def _scatter(axes: Axes, reference: Array, predicted: Array, regression: Mapping[str, Any]) -> None:
    both = np.concatenate([reference, predicted])
    axes.set_xlabel("Reference area (km²)")
    axes.set_ylabel("Predicted area (km²)")
    if not len(both):
        empty_panel(axes, "no correspondence")
        return
    logarithmic = both.max() > 30 * both.min()
    low, high = (both.min() / 1.4, both.max() * 1.4) if logarithmic else (0.0, both.max() * 1.06)
    if logarithmic:
        axes.set_xscale("log")
        axes.set_yscale("log")
    many = len(reference) > MANY
    axes.scatter(reference, predicted, s=3 if many else 12, c=BLUE, alpha=0.12 if many else 0.65, linewidths=0, rasterized=many, zorder=2)
    axes.plot([low, high], [low, high], color="black", linewidth=0.8, linestyle=(0, (5, 2)), label="1:1 line", zorder=3)
    slope, intercept, r2 = (_number(regression.get(name)) for name in ("slope", "intercept_km2", "r2"))
    if np.isfinite([slope, intercept]).all():
        x = np.geomspace(low, high, 200) if logarithmic else np.linspace(low, high, 2)
        y = slope * x + intercept
        inside = (y >= low) & (y <= high)
        axes.plot(
            x[inside] if logarithmic else x, y[inside] if logarithmic else y, color=ORANGE, linewidth=1.1, label="regression", zorder=3
        )
        sign = "+" if intercept >= 0 else "−"
        text = f"y = {slope:.3f} x {sign} {abs(intercept):.4f}\nR² = {r2:.3f}\nn = {thousands(len(reference))}"
    else:
        text = f"n = {thousands(len(reference))}"
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_box_aspect(1)
    axes.text(0.97, 0.04, text, transform=axes.transAxes, ha="right", va="bottom", fontsize=7, linespacing=1.35)
    axes.legend(loc="upper left")
    if logarithmic:
        from matplotlib.ticker import FuncFormatter, NullFormatter  # noqa: PLC0415

        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())


def _boxes(axes: Axes, labelled: Mapping[str, Array]) -> None:
    """Box plots of groups of numbers around zero, label -> values; what would make the rest too small to see is counted, not shown."""
    groups = [values[np.isfinite(values)] for values in labelled.values()]
    box = axes.boxplot(
        groups,
        positions=range(len(groups)),
        widths=0.55,
        showmeans=True,
        patch_artist=True,
        boxprops={"facecolor": "#CFE3F1", "edgecolor": "black", "linewidth": 0.7},
        medianprops={"color": "black", "linewidth": 1.2},
        whiskerprops={"linewidth": 0.7},
        capprops={"linewidth": 0.7},
        meanprops={"marker": "D", "markerfacecolor": ORANGE, "markeredgecolor": "white", "markersize": 4, "markeredgewidth": 0.4},
        flierprops={"marker": "o", "markersize": 2, "markerfacecolor": GREY, "markeredgewidth": 0, "alpha": 0.5},
    )
    for position, (group, outliers) in enumerate(zip(groups, box["fliers"], strict=True)):
        outliers.set_rasterized(len(outliers.get_xdata()) > MANY)
        if len(group) <= FEW:
            outliers.set_visible(False)
            beside = position + 0.36 * (GOLDEN_RATIO * np.arange(len(group)) % 1 - 0.5)
            axes.scatter(beside, group, s=7, c=GREY, alpha=0.6, linewidths=0, zorder=3)
    axes.axhline(0, color="black", linewidth=0.8, linestyle=(0, (5, 2)), zorder=1)
    whiskers = [value for line in box["whiskers"] for value in line.get_ydata() if np.isfinite(value)]
    top, bottom = max([10.0, *whiskers]), min([-10.0, *whiskers])
    span = top - bottom
    values = np.concatenate(groups)
    shown_top = min(float(values.max(initial=top)), top + 0.75 * span) + 0.05 * span
    shown_bottom = max(float(values.min(initial=bottom)), bottom - 0.75 * span) - 0.05 * span
    axes.set_ylim(shown_bottom, shown_top)
    for position, group in enumerate(groups):
        beyond = int(np.sum((group > shown_top) | (group < shown_bottom)))
        note = f"\n{thousands(beyond)} beyond" if beyond else ""
        axes.annotate(
            f"n = {thousands(len(group))}{note}", (position, 1), (0, 2), ("data", "axes fraction"), textcoords="offset points",
            ha="center", va="bottom", fontsize=7, linespacing=1.2,
        )  # fmt: skip
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.set_xticks(range(len(groups)), list(labelled))


def boundaries(signed_m: Array, distances_m: Mapping[str, Array], sections_m: Mapping[str, Array]) -> Figure:
    """Signed distances of predicted from reference boundaries (a), boundary distances cumulated (b), signed ones by section (c).

    Parameters
    ----------
    signed_m : (n,) mean signed distance of each correspondence, metres, positive outside the reference outline, NaN where unknown
    distances_m : label -> (n,) metres
    sections_m : section of the boundary -> (n,) metres, NaN where unknown; without sections there is no (c)
    """
    figure = new_figure(130 if sections_m else 70)
    panels = figure.subplot_mosaic("ab;cc" if sections_m else "ab", width_ratios=(1.15, 1))
    _signed_histogram(panels["a"], signed_m)
    _cumulated(panels["b"], distances_m)
    if sections_m:
        _boxes(panels["c"], sections_m)
        panels["c"].set_xlabel("Section of the reference boundary")
        panels["c"].set_ylabel("Mean signed boundary distance (m)")
    for letter, axes in panels.items():
        panel_letter(axes, letter)
    return figure


def _signed_histogram(axes: Axes, signed: Array) -> None:
    axes.set_xlabel("Mean signed boundary distance (m)")
    axes.set_ylabel("Share of correspondences (%)")
    signed = signed[np.isfinite(signed)]
    if not len(signed):
        empty_panel(axes, "no boundary to compare")
        return
    reach = max(float(np.quantile(np.abs(signed), 0.99)), 1e-3)
    half = int(np.clip(np.sqrt(len(signed)), 5, 30))
    width = reach / half
    edges = width * np.arange(-half - 1, half + 2)
    counts, _ = np.histogram(np.clip(signed, edges[0], edges[-1]), edges)
    shares, middles = 100 * counts / len(signed), (edges[:-1] + edges[1:]) / 2
    axes.bar(middles, shares, width, color=np.where(middles < 0, "#56B4E9", "#E69F00"), linewidth=0)
    axes.axvline(0, color="black", linewidth=0.8, linestyle=(0, (5, 2)))
    median = float(np.median(signed))
    axes.axvline(median, color="black", linewidth=1.0)
    top = 1.25 * shares.max()
    axes.set_ylim(0, top)
    axes.set_xlim(edges[0], edges[-1])
    for x, words, side in ((0.02, "predicted inside\nreference", "left"), (0.98, "predicted outside\nreference", "right")):
        axes.text(x, 0.98, words, transform=axes.transAxes, ha=side, va="top", fontsize=7, color=GREY)
    axes.set_title(f"median {median:+.1f} m, n = {thousands(len(signed))}".replace("-", "−"), fontsize=7)


def _cumulated(axes: Axes, distances: Mapping[str, Array]) -> None:
    axes.set_xlabel("Boundary distance (m)")
    axes.set_ylabel("Share of correspondences (%)")
    known = {label: np.sort(values[np.isfinite(values)]) for label, values in distances.items()}
    if not any(len(values) for values in known.values()):
        empty_panel(axes, "no boundary to compare")
        return
    reach = max(float(np.quantile(values, 0.95)) for values in known.values() if len(values))
    count = max(map(len, known.values()))
    for (label, values), colour in zip(known.items(), (BLUE, "#009E73", ORANGE), strict=False):
        if not len(values):
            continue
        axes.step(np.append(0, values), 100 * np.arange(len(values) + 1) / len(values), where="post", color=colour, label=label)
    axes.set_xlim(0, max(1.05 * reach, 1e-3))
    axes.set_ylim(0, 102)
    axes.legend(loc="best" if count <= FEW else "lower right", title=f"n = {thousands(count)}", title_fontsize=7, alignment="left")


def correspondences(
    predicted: NDArray[np.object_],
    reference: NDArray[np.object_],
    kinds: tuple[NDArray[np.str_], NDArray[np.str_]],
    crs: CRS,
    area_of_interest: NDArray[np.object_] | None = None,
) -> Figure:
    """Map of both layers' outlines, coloured by the kind of their correspondence.

    Parameters
    ----------
    predicted, reference : (n,), (m,) Polygon or MultiPolygon on one map, ``crs``
    kinds : (n,) of the predicted and (m,) of the reference outlines, keys of ``KIND_COLOURS``
    area_of_interest : (k,) polygons on the same map, or None
    """
    outlines = np.concatenate([predicted, reference])
    bounds = _map_bounds(outlines, crs)
    stretch = _stretch(bounds, crs)
    tall_mm = float(np.clip(MAP_WIDTH_MM * stretch * (bounds[3] - bounds[1]) / (bounds[2] - bounds[0]), 70, 120))
    bounds = _filled(bounds, stretch, MAP_WIDTH_MM / tall_mm)
    figure = new_figure(tall_mm + 22)
    axes = figure.subplots()
    axes.set_aspect(stretch)
    axes.set_xlim(bounds[0], bounds[2])
    axes.set_ylim(bounds[1], bounds[3])
    if area_of_interest is not None:
        _draw(axes, area_of_interest, 1, facecolors="none", edgecolors=GREY, linewidths=0.8, linestyles=[(0, (6, 2, 1, 2))])
    sizes = shapely.bounds(outlines)
    on_paper_mm = MAP_WIDTH_MM / (bounds[2] - bounds[0]) * (sizes[:, 2] - sizes[:, 0])
    dots = len(outlines) > 0 and float(np.median(on_paper_mm)) < LEAST_ON_PAPER_MM
    handles = []
    for level, kind in enumerate(KIND_COLOURS, start=2):
        filled, lined = predicted[kinds[0] == kind], reference[kinds[1] == kind]
        if len(filled) or len(lined):
            label = f"{kind} ({thousands(len(lined))} | {thousands(len(filled))})"
            handles.append((_draw_dots if dots else _draw_outlines)(axes, filled, lined, kind, level, label, len(outlines)))
    if not len(outlines):
        empty_panel(axes, "no outline")
    for spine in axes.spines.values():
        spine.set_visible(True)
    _graticule(axes, bounds, crs)
    _scale_bar(axes, bounds, crs)
    _north_arrow(axes, bounds, crs, stretch)
    title = "Reference : predicted (number of reference | predicted outlines)" + ("" if dots else "; line: reference, filled: predicted")
    if handles:
        columns = 6 if sum(len(handle.get_label()) for handle in handles) < 100 else 3
        place: Any = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.06)}
        axes.legend(handles=handles, ncols=columns, columnspacing=1.4, title=title, title_fontsize=7, **place)
    return figure


def _draw_outlines(
    axes: Axes, predicted: NDArray[np.object_], reference: NDArray[np.object_], kind: str, level: int, label: str, total: int
) -> Any:
    """Predicted outlines filled, reference outlines as lines; what stands for them in the legend."""
    from matplotlib.patches import Patch  # noqa: PLC0415

    colour, many = KIND_COLOURS[kind], total > MANY
    line: Any = (0, (3, 1)) if kind == "missed" else "solid"
    _draw(axes, predicted, level, rasterized=many, facecolors=[(colour, 0.4)], edgecolors=[colour], linewidths=0.5)
    _draw(axes, reference, level + 10, rasterized=many, facecolors="none", edgecolors=[colour], linewidths=1.1, linestyles=[line])
    return Patch(facecolor="none" if kind == "missed" else (colour, 0.4), edgecolor=colour, linewidth=1.1, linestyle=line, label=label)


def _draw_dots(
    axes: Axes, predicted: NDArray[np.object_], reference: NDArray[np.object_], kind: str, level: int, label: str, total: int
) -> Any:
    """A dot for each reference outline, or predicted outline without one; what stands for them in the legend."""
    bounds = shapely.bounds(reference if len(reference) else predicted)
    size = float(np.clip(9 * np.sqrt(300 / total), 0.3, 9))
    x, y = (bounds[:, 0] + bounds[:, 2]) / 2, (bounds[:, 1] + bounds[:, 3]) / 2
    axes.scatter(x, y, s=size, c=KIND_COLOURS[kind], linewidths=0, rasterized=True, zorder=level)
    return axes.scatter([], [], s=14, c=KIND_COLOURS[kind], linewidths=0, label=label)


def _draw(axes: Axes, polygons: NDArray[np.object_], level: int, rasterized: bool = False, **look: Any) -> None:
    from matplotlib.collections import PathCollection  # noqa: PLC0415

    collection = PathCollection([_path(polygon) for polygon in polygons], rasterized=rasterized, zorder=level, **look)
    axes.add_collection(collection, autolim=False)


def _path(geometry: shapely.Geometry) -> Any:
    from matplotlib.path import Path  # noqa: PLC0415

    rings = [shapely.get_coordinates(ring) for ring in shapely.get_rings(geometry)]
    return Path.make_compound_path(*(Path(ring, closed=True) for ring in rings))


def _map_bounds(outlines: NDArray[np.object_], crs: CRS) -> Array:
    """What the map shows, map units: the outlines and a margin."""
    if not len(outlines):
        return np.array([0.0, 0.0, 1.0, 1.0])
    bounds = shapely.total_bounds(outlines)
    margin = 0.04 * max(bounds[2] - bounds[0], bounds[3] - bounds[1])
    return np.asarray(bounds + margin * np.array([-1, -1, 1, 1]), dtype=np.float64)


def _stretch(bounds: Array, crs: CRS) -> float:
    """How much longer a unit of y is on the ground than a unit of x."""
    if not crs.is_geographic:
        return 1.0
    latitude = (bounds[1] + bounds[3]) / 2 * crs.axis_info[0].unit_conversion_factor
    return float(1 / max(np.cos(latitude), 0.05))


def _filled(bounds: Array, stretch: float, wide_to_tall: float) -> Array:
    """Bounds widened to the shape of the frame."""
    width, height = bounds[2] - bounds[0], (bounds[3] - bounds[1]) * stretch
    more_width = max(0.0, height * wide_to_tall - width) / 2
    more_height = max(0.0, width / wide_to_tall - height) / 2 / stretch
    return np.asarray(bounds + np.array([-more_width, -more_height, more_width, more_height]))


def _graticule(axes: Axes, bounds: Array, crs: CRS) -> None:
    """Longitudes along the lower and latitudes along the left edge."""
    x, y = np.linspace(bounds[0], bounds[2], 200), np.linspace(bounds[1], bounds[3], 200)
    to_degrees = Transformer.from_crs(crs, 4326, always_xy=True)
    longitude = np.unwrap(np.asarray(to_degrees.transform(x, np.full(200, bounds[1]))[0]), period=360)
    latitude = np.asarray(to_degrees.transform(np.full(200, bounds[0]), y)[1])
    for axis, values, places, signs in ((axes.xaxis, longitude, x, "EW"), (axes.yaxis, latitude, y, "NS")):
        if not np.isfinite(values).all() or (np.diff(values) <= 0).any():
            axis.set_ticks([])
            continue
        step = _nice_degrees((values[-1] - values[0]) / 4)
        ticks = np.arange(np.ceil(values[0] / step), np.floor(values[-1] / step) + 1) * step
        axis.set_ticks(np.interp(ticks, values, places), [_degrees(value, signs) for value in ticks])


NICE_DEGREES = np.array(
    [10, 5, 2, 1, 30 / 60, 20 / 60, 10 / 60, 5 / 60, 2 / 60, 1 / 60, 30 / 3600, 15 / 3600, 10 / 3600, 5 / 3600, 2 / 3600, 1 / 3600]
)


def _nice_degrees(step: float) -> float:
    return float(NICE_DEGREES[np.abs(np.log(NICE_DEGREES / step)).argmin()])


def _degrees(value: float, signs: str) -> str:
    value = (value + 180) % 360 - 180 if signs == "EW" else value
    seconds = round(abs(value) * 3600)
    text = f"{seconds // 3600}°"
    if seconds % 3600:
        text += f"{seconds % 3600 // 60:02d}′"
    if seconds % 60:
        text += f"{seconds % 60:02d}″"
    return text + (signs[0] if value >= 0 else signs[1])


def _scale_bar(axes: Axes, bounds: Array, crs: CRS) -> None:
    middle = (bounds[1] + bounds[3]) / 2
    longitude, latitude = Transformer.from_crs(crs, 4326, always_xy=True).transform(
        [bounds[0], (bounds[0] + bounds[2]) / 2], [middle, middle]
    )
    half_m = Geod(ellps="WGS84").inv(longitude[0], latitude[0], longitude[1], latitude[1])[2]
    if not np.isfinite(half_m) or half_m <= 0:
        return
    units_per_m = (bounds[2] - bounds[0]) / 2 / half_m
    wanted = half_m / 2.5
    power = 10 ** np.floor(np.log10(wanted))
    length = float(power * max(step for step in (1, 2, 5) if step * power <= wanted))
    x, y = bounds[0] + 0.04 * (bounds[2] - bounds[0]), bounds[1] + 0.05 * (bounds[3] - bounds[1])
    white = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.2}
    axes.plot([x, x + length * units_per_m], [y, y], color="black", linewidth=2, solid_capstyle="butt", zorder=31)
    text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    middle_of_bar = (x + length * units_per_m / 2, y)
    axes.annotate(
        text, middle_of_bar, (0, 3), textcoords="offset points", ha="center", va="bottom", fontsize=7, bbox=white, zorder=30
    )  # fmt: skip


def _north_arrow(axes: Axes, bounds: Array, crs: CRS, stretch: float) -> None:
    """Points along the meridian through the upper right corner."""
    x, y = bounds[2] - 0.05 * (bounds[2] - bounds[0]), bounds[3] - 0.12 * (bounds[3] - bounds[1])
    to_degrees = Transformer.from_crs(crs, 4326, always_xy=True)
    longitude, latitude = to_degrees.transform(x, y)
    away = to_degrees.transform(longitude, latitude + 1e-4, direction="INVERSE")
    step = np.array([away[0] - x, (away[1] - y) * stretch])
    if not np.isfinite(step).all() or not step.any():
        return
    direction = step / np.hypot(*step)
    axes.annotate(
        "N", (x, y), tuple(20 * direction), textcoords="offset points", ha="center", va="center", fontsize=8, fontweight="bold", zorder=30,
        bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1},
        arrowprops={"arrowstyle": "<|-", "color": "black", "linewidth": 0.9, "shrinkA": 4, "shrinkB": 0},
    )  # fmt: skip


def new_figure(height_mm: float) -> Figure:
    """An empty figure of the width of all."""
    from matplotlib.figure import Figure  # noqa: PLC0415 heavy

    return Figure(figsize=(WIDTH_IN, height_mm / 25.4), layout="constrained")


def panel_letter(axes: Axes, letter: str) -> None:
    """Name a panel of a figure."""
    axes.annotate(
        letter, (0, 1), (-28, 6), "axes fraction", textcoords="offset points", fontsize=10, fontweight="bold", ha="left", va="bottom"
    )


def empty_panel(axes: Axes, why: str) -> None:
    """Say why a panel shows nothing."""
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", color=GREY)
    axes.set_xticks([])
    axes.set_yticks([])


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def thousands(count: int) -> str:
    """A count as it is written in a figure."""
    return f"{count:,}".replace(",", " ")
