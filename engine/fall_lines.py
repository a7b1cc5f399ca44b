"""A line downslope through each outline, as a layer; how it is found is in :mod:`engine.fall_line`."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from pyproj import CRS

from engine.errors import EngineError
from engine.fall_line import on_slopes
from engine.rasters import WGS84, open_raster
from engine.reporting import Reporter
from engine.vectors import PolygonLayer, read_outlines, reproject, write_polygons
from jobs import FallLinesJob

LENGTH = "length_m"


def fall_lines(job: FallLinesJob, reporter: Reporter) -> dict[str, Any]:
    """Write the fall line of each outline, its first vertex at the roots, its last at the front.

    The fields of the outlines travel on; ``length_m`` is the length on the ellipsoid, without the slope.

    Returns
    -------
    ``output``, ``count`` lines, ``without`` outlines that have none: flat, or of unknown elevation under half of them

    Raises
    ------
    EngineError
        ``no_fall_line`` where no outline has one; those of :func:`engine.vectors.read_polygons`, :func:`engine.rasters.open_raster`,
        :func:`engine.outputs.whole_file`; Cancelled.
    """
    with open_raster(job.dem) as dem:
        reporter.progress(0.0, "reading outlines")
        if dem.count > 1:
            reporter.info(f"{job.dem} has {dem.count} bands; the first one is taken for the elevation.")
        outlines = read_outlines(job.input, job.input_layer, reporter)
        lines = np.full(len(outlines), None, dtype=object)
        for done, found in enumerate(on_slopes(outlines.geometries, outlines.crs, dem)):
            reporter.progress(0.95 * done / len(outlines), "fall lines")
            if found is not None:
                axis = np.array([found.axis], dtype=object)
                lines[found.index] = (axis if found.crs == outlines.crs else reproject(axis, found.crs, outlines.crs))[0]
    has_line = ~shapely.is_missing(lines)
    without = int((~has_line).sum())
    if len(outlines) and not has_line.any():
        raise EngineError(
            "no_fall_line",
            f"None of the {len(outlines)} outlines has a fall line: {job.dem} is flat there or says nothing. Does it cover the outlines?",
        )
    if without:
        reporter.warning("no_fall_line", f"{without} of {len(outlines)} outlines have no fall line: they are flat, or not on {job.dem}.")
    fields = {name: values[has_line] for name, values in outlines.fields.items() if name.lower() != LENGTH}
    on_ellipsoid = reproject(lines[has_line], outlines.crs, CRS.from_epsg(4326))
    fields[LENGTH] = np.array([WGS84.geometry_length(line) for line in on_ellipsoid], dtype=np.float64)
    write_polygons(job.output, PolygonLayer(lines[has_line], outlines.crs, fields), "fall_lines", "LineString")
    reporter.progress(1.0, f"{has_line.sum()} fall lines")
    return {"output": job.output, "count": int(has_line.sum()), "without": without}
