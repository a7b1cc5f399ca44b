"""Reports: one page of HTML that needs nothing else, to be read, printed and archived."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.accuracy import SIZE_CLASSES, SIZE_LIMITS_KM2, confusion_table
from engine.sections import SECTIONS
from jobs import MATCH_RULES

TEMPLATES = Path(__file__).resolve().parent.parent / "resources" / "report"
UNKNOWN = "–"
THIN_SPACE = "\u202f"

KINDS_IN_WORDS = {
    "1-1": "one reference outline, one predicted outline",
    "n-1": "several reference outlines in one predicted outline",
    "1-n": "one reference outline, several predicted outlines",
    "n-m": "several on both sides",
    "missed": "a reference outline that nothing overlaps",
    "false": "a predicted outline that nothing overlaps",
}
IN_WORDS = {
    "producers_accuracy": "Producer's accuracy",
    "users_accuracy": "User's accuracy",
    "producers_accuracy_interval": "Its interval, producer's",
    "users_accuracy_interval": "Its interval, user's",
    "signed_km2": "Area deviation, km²",
    "absolute_km2": "Absolute deviation, km²",
    "signed_percent": "Area deviation, %",
    "absolute_percent": "Absolute deviation, %",
    "sum_absolute_deviation_km2": "Sum of absolute deviations",
    "total": "All outlines",
    "matched": "Correspondences with both sides",
    "boundary_iou_1px": "Boundary IoU, 1 pixel",
    "boundary_iou_2px": "Boundary IoU, 2 pixels",
    "boundary_iou_5px": "Boundary IoU, 5 pixels",
    "boundary_iou_10m": "Boundary IoU, 10 m",
    "polis_m": "PoLiS (m)",
    "mean_m": "Mean distance (m)",
    "median_m": "Median distance (m)",
    "hd95_m": "95 % Hausdorff (m)",
    "hausdorff_m": "Hausdorff (m)",
    "signed_mean_m": "Mean signed distance (m)",
    "signed_median_m": "Median signed distance (m)",
    **{f"signed_mean_{section}_m": f"Mean signed distance, {section} (m)" for section in SECTIONS},
    **{name: name.upper() for name in ("tp", "fp", "fn", "tn", "f1", "mcc")},
    "iou": "IoU",
    "miou": "mIoU",
    "in_bulk": "Decided in bulk",
    "area_change_percent": "Change of area",
    "moved_m": "Boundary moved",
}
"""What figures are called in the report; others by their keys."""


def page(numbers: Mapping[str, Any], to_look_at: Sequence[Mapping[str, Any]], figures: Mapping[str, bytes]) -> str:
    """The accuracy report as HTML.

    Parameters
    ----------
    numbers : as :func:`engine.assess.assess` returns them
    to_look_at : rows of :func:`engine.accuracy.correspondence_table`, the largest differences first
    figures : name -> SVG
    """
    return filled_template(
        "accuracy.html",
        figures,
        **numbers,
        to_look_at=to_look_at,
        rules=MATCH_RULES,
        confusion=confusion_table(numbers["objects"][numbers["settings"]["match_rule"]]),
        kinds_in_words=KINDS_IN_WORDS,
        size_ranges=dict(zip(SIZE_CLASSES, size_ranges(), strict=True)),
    )


def filled_template(template: str, figures: Mapping[str, bytes], **values: Any) -> str:
    """A page of resources/report with its values and its figures, name -> SVG."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 heavy

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "percent": percent, "interval": interval, "count": count, "in_words": in_words}
    images = {name: "data:image/svg+xml;base64," + base64.b64encode(content).decode() for name, content in figures.items()}
    return environment.get_template(template).render(**values, figures=images)


def size_ranges() -> list[str]:
    """The range of each size class in km2, such as ``0.10–0.50``."""
    between = [f"{low:.2f}–{high:.2f}" for low, high in zip(SIZE_LIMITS_KM2, SIZE_LIMITS_KM2[1:], strict=False)]
    return [f"< {SIZE_LIMITS_KM2[0]:.2f}", *between, f"≥ {SIZE_LIMITS_KM2[-1]:.2f}"]


def in_words(name: str) -> str:
    """What a figure is called."""
    return IN_WORDS.get(name, name.replace("_", " ").capitalize())


def number(value: float | None, decimals: int = 3, sign: bool = False) -> str:
    """A number with a true minus and thin spaces between thousands; a dash where it is unknown."""
    if value is None:
        return UNKNOWN
    text = f"{value:{'+' if sign else ''},.{decimals}f}"
    return text.replace(",", THIN_SPACE).replace("-", "−")


def count(value: int | None) -> str:
    """A whole number."""
    return number(value, 0)


def percent(share: float | None, decimals: int = 1) -> str:
    """A share, 0-1, in percent."""
    return UNKNOWN if share is None else f"{number(100 * share, decimals)}{THIN_SPACE}%"


def interval(bounds: Sequence[float] | None, decimals: int = 1) -> str:
    """Two shares, 0-1, as bounds in percent."""
    return UNKNOWN if bounds is None else f"{number(100 * bounds[0], decimals)}–{number(100 * bounds[1], decimals)}{THIN_SPACE}%"
