"""Areas and accuracies from a stratified random sample of points, with their standard errors.

A map counts its own errors as area. A sample whose points were looked at by a person does not: how often map and reference
agree in each stratum, weighted by the area of the strata, gives areas and accuracies without that bias, and how sure they are.

Source
------
Stehman (2014), Estimating area and map accuracy for stratified random sampling when the strata are different from the map
classes, https://doi.org/10.1080/01431161.2014.930207. Where strata and map classes are the same, his ratio estimators are
those of Olofsson et al. (2014), Good practices for estimating area and assessing accuracy of land change,
https://doi.org/10.1016/j.rse.2014.02.015, equations 1-11.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.errors import EngineError

Z95 = 1.959963984540054
"""Of the standard normal distribution: 95 % lie within this many standard errors."""


@dataclass(frozen=True)
class Estimates:
    """What a sample says about a map of q classes; shares 0-1 of the whole area, NaN where the sample cannot say.

    ``matrix`` (q, q) share of the area that the map gives to a class (rows) and the reference to a class (columns);
    ``class_share`` (q,) of the reference classes, ``users_accuracy`` and ``producers_accuracy`` (q,), ``overall_accuracy``, and
    the standard error of each, ``..._se``; ``notes`` why something is NaN, in words.
    """

    matrix: NDArray[np.float64]
    class_share: NDArray[np.float64]
    class_share_se: NDArray[np.float64]
    users_accuracy: NDArray[np.float64]
    users_accuracy_se: NDArray[np.float64]
    producers_accuracy: NDArray[np.float64]
    producers_accuracy_se: NDArray[np.float64]
    overall_accuracy: float
    overall_accuracy_se: float
    notes: tuple[str, ...] = ()


def estimate(area: ArrayLike, counts: NDArray[np.int64], names: Sequence[str] = ()) -> Estimates:
    """Shares of classes and accuracies from the points of a stratified random sample.

    Parameters
    ----------
    area : (h,) of each stratum, in any unit; strata of no area are left out
    counts : (h, q, q) points of a stratum that the map gives to a class (second axis) and the reference to a class (third)
    names : (h,) of the strata, for the notes; their numbers when not given

    Returns
    -------
    Where a stratum has one point, there are no standard errors; where it has none, there are no estimates.

    Raises
    ------
    EngineError
        ``no_strata`` when no stratum has an area.

    Source
    ------
    Stehman (2014), equations 3, 20, 21, 25-28; Olofsson et al. (2014), equations 1-11.
    """
    area = np.asarray(area, dtype=np.float64)
    there = area > 0
    if not there.any():
        raise EngineError("no_strata", "No stratum has an area; there is nothing to estimate.")
    labels = [str(name) for name in (names or range(1, len(area) + 1))]
    points = np.asarray(counts).sum(axis=(1, 2))
    notes = [
        f"No point of the stratum {labels[h]} is labelled: nothing can be said about the whole area."
        if points[h] == 0
        else f"One point of the stratum {labels[h]} is labelled: there is no standard error."
        for h in np.flatnonzero(there & (points < 2))
    ]
    area, counts = area[there], np.asarray(counts)[there]
    classes = counts.shape[1]
    one = np.ones((classes, classes))
    mapped = [one * (np.arange(classes) == c)[:, None] for c in range(classes)]
    seen = [cells.T for cells in mapped]

    def ratios(numerators: Sequence[NDArray[np.float64]], denominators: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.array([_ratio(area, counts, y, x) for y, x in zip(numerators, denominators, strict=True)])

    shares, users, producers = (
        ratios(seen, [one] * classes),
        ratios([m * s for m, s in zip(mapped, seen, strict=True)], mapped),
        ratios([m * s for m, s in zip(mapped, seen, strict=True)], seen),
    )
    overall, overall_se = _ratio(area, counts, np.eye(classes), one)
    matrix = np.array([[_ratio(area, counts, mapped[i] * seen[j], one)[0] for j in range(classes)] for i in range(classes)])
    return Estimates(
        matrix, shares[:, 0], shares[:, 1], users[:, 0], users[:, 1], producers[:, 0], producers[:, 1], overall, overall_se, tuple(notes)
    )


def _ratio(
    area: NDArray[np.float64], counts: NDArray[np.int64], numerator: NDArray[np.float64], denominator: NDArray[np.float64]
) -> tuple[float, float]:
    """Ratio of two totals over the whole area and its standard error, of points worth (q, q) by their map and reference class."""
    points = counts.sum(axis=(1, 2))
    if (points == 0).any():
        return math.nan, math.nan
    share = counts / points[:, None, None]
    below = area @ (share * denominator).sum(axis=(1, 2))
    if below == 0:
        return math.nan, math.nan
    ratio = area @ (share * numerator).sum(axis=(1, 2)) / below
    if (points == 1).any():
        return float(ratio), math.nan
    residual = numerator - ratio * denominator
    variance = ((share * residual**2).sum(axis=(1, 2)) - (share * residual).sum(axis=(1, 2)) ** 2).clip(min=0) / (points - 1)
    return float(ratio), float(np.sqrt(area**2 @ variance) / below)


def sample_size(area: ArrayLike, anticipated_accuracy: ArrayLike, standard_error: float) -> int:
    """How many points a wanted standard error of the overall accuracy needs.

    Parameters
    ----------
    area : (h,) of each stratum, in any unit
    anticipated_accuracy : (h,) expected share, 0-1, of each stratum where the map is right
    standard_error : of the overall accuracy, 0-1

    Source
    ------
    Olofsson et al. (2014), equation 13, for areas that are large against a point (Cochran 1977, equation 5.25).
    """
    weight = np.asarray(area, dtype=np.float64) / np.sum(area)
    return math.ceil((weight @ _spread(anticipated_accuracy) / standard_error) ** 2 - 1e-9)


def allocation(size: int, area: ArrayLike, anticipated_accuracy: ArrayLike, minimum: int, optimal: bool) -> NDArray[np.int64]:
    """Points of each stratum (h,): in proportion to its area, but at least ``minimum`` wherever there is an area.

    Parameters
    ----------
    size : points in all; more where the minima need more
    area, anticipated_accuracy : (h,) as :func:`sample_size`
    optimal : in proportion to area times anticipated spread instead (Neyman), which gives the smallest standard error

    Source
    ------
    Olofsson et al. (2014), section 5.1.2.
    """
    claim = np.asarray(area, dtype=np.float64) * (_spread(anticipated_accuracy) if optimal else 1.0)
    there = np.asarray(area) > 0
    points = np.where(there, minimum, 0).astype(np.int64)
    free = there & (claim > 0)
    while free.any() and (left := size - minimum * (there & ~free).sum()) > 0:
        wanted = left * claim / claim[free].sum()
        short = free & (wanted < minimum)
        if not short.any():
            points[free] = np.floor(wanted[free])
            last = np.argsort(np.where(free, points - wanted, 1.0), kind="stable")[: int(left - points[free].sum())]
            points[last] += 1
            break
        free &= ~short
    return points


def anticipated_standard_error(area: ArrayLike, anticipated_accuracy: ArrayLike, points: NDArray[np.int64]) -> float:
    """Of the overall accuracy, 0-1, with these points (h,) in the strata; of the share of a class too, where it has its own strata.

    Source
    ------
    Olofsson et al. (2014), equation 5 with the anticipated user's accuracies.
    """
    weight = np.asarray(area, dtype=np.float64) / np.sum(area)
    there = weight > 0
    return float(np.sqrt(np.sum((weight * _spread(anticipated_accuracy))[there] ** 2 / np.asarray(points)[there])))


def _spread(accuracy: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(accuracy, dtype=np.float64)
    spread: NDArray[np.float64] = np.sqrt(values * (1 - values))
    return spread
