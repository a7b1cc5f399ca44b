"""What outlines are called in tables and reports."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.reporting import Reporter
from engine.vectors import PolygonLayer

NAME_FIELDS = ("primaryid", "id", "rgi_id", "name")
"""Fields that may name an outline, the best first."""


def outline_names(layer: PolygonLayer, side: str, reporter: Reporter) -> NDArray[np.str_]:
    """What the outlines (n,) are called: by a field, else by their place in the file, from 1; ``side`` is for the warning."""
    fields = {name.lower(): values for name, values in layer.fields.items()}
    for field in NAME_FIELDS:
        if field in fields:
            names = fields[field].astype(str)
            if len(np.unique(names)) == len(names):
                return names
            reporter.warning(
                "duplicate_ids", f"The values of {field!r} of the {side} outlines are not unique: outlines are numbered instead."
            )
            break
    return np.arange(1, len(layer) + 1).astype(str)
