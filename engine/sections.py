"""Front, left, right and upslope section of an outline, as RGIK's reliability of outlines and accuracy figures tell them apart."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

SECTIONS = ("front", "left", "right", "upslope")
FRONT, LEFT, RIGHT, UPSLOPE = range(4)


def sections(outline: shapely.Polygon, axis: shapely.LineString) -> NDArray[np.int8]:
    """Section of each segment of an outline's exterior.

    Each section is one run of the boundary. From the place where the axis leaves the outline downslope, the front reaches on
    both sides to the place that best separates boundary that faces downslope from boundary that does not: its outward normal is
    within 45 degrees of the direction of the axis beside it. The upslope section likewise from where the axis enters.
    What is left between them are the sides, left and right as one looks downslope (orographic).

    Parameters
    ----------
    outline : in metres, any orientation of the ring
    axis : downslope line from roots to front (:func:`engine.fall_line.fall_line`), on the same map

    Returns
    -------
    (segments,) FRONT, LEFT, RIGHT or UPSLOPE of each segment between ``outline.exterior.coords``, in their order
    """
    raise NotImplementedError
