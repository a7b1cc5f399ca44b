"""How much of each outline lies in permafrost: the usual maps with what they call permafrost, or any other map.

Source
------
The products' own descriptions, named in :data:`PRESETS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from engine.class_maps import ClassMap, PolygonMap, open_class_map
from engine.errors import EngineError
from engine.reporting import Reporter

FRINGE = 0.1
"""Permafrost zonation index below which permafrost exists only in the most favourable places (Gruber 2012)."""


@dataclass(frozen=True)
class Preset:
    """A published permafrost map.

    ``classes`` its values that are permafrost, see :func:`engine.class_maps.parse_classes`; ``lowest`` and ``highest`` of
    all its values, None for names; ``citation``; ``attribute`` of a polygon map that holds the value; ``nodata`` value
    that stands for unknown where the file does not say so.
    """

    classes: str
    lowest: float | None
    highest: float | None
    citation: str
    attribute: str = ""
    nodata: float | None = None


PRESETS = {
    "zou_zhao": Preset("==1", 0, 2, "Zou et al. 2017, doi:10.5194/tc-11-2527-2017"),
    "ncdc": Preset("==1", 1, 3, "Annual permafrost distribution of the Qinghai-Tibet Plateau 1980-2018, NCDC"),
    "obu_probability": Preset(">=0.5", 0, 1, "Obu et al. 2018, permafrost probability, doi:10.1594/PANGAEA.888600"),
    "obu_zones": Preset(
        "continuous,discontinuous,cont,discon,discont",
        None,
        None,
        "Obu et al. 2018, permafrost zones, doi:10.1594/PANGAEA.888600",
        attribute="EXTENT",
    ),
    "cci_fraction": Preset(">=50", 0, 100, "ESA CCI Permafrost, permafrost extent (percent)"),
    "gruber_pzi": Preset(f">={FRINGE}", 0, 1, "Gruber 2012, permafrost zonation index, doi:10.5194/tc-6-221-2012", nodata=-9999),
    "cao_pzi": Preset(f">={FRINGE}", 0, 1, "Cao et al. 2019, permafrost zonation index, tpdc.270215", nodata=-9999),
}
"""The values of jobs.PERMAFROST_PRESETS but ``custom``."""


@dataclass(frozen=True)
class PermafrostMap:
    """An open permafrost map; ``source`` says whose it is."""

    map: ClassMap
    classes: str
    preset: Preset | None
    source: str

    def fraction(self, outlines: NDArray[np.object_], crs: CRS, buffer: float, reporter: Reporter) -> NDArray[np.float64]:
        """Share of each outline's known area that lies in permafrost, (n,) 0-1, NaN where nothing is known.

        Parameters
        ----------
        outlines : (n,) Polygon, in map units of ``crs``
        crs : of the outlines
        buffer : cells of a raster map around an outline that count with it
        reporter : is warned when the values chosen admit ground that the map does not call permafrost
        """
        share = self.map.fraction(outlines, crs, reporter, buffer)
        self._warn_of_traps(reporter)
        return share

    def _warn_of_traps(self, reporter: Reporter) -> None:
        seen, preset, names = self.map.seen, self.preset, self.map.classes.names
        if names and seen.names and not names & seen.names:
            reporter.warning(
                "permafrost_names",
                f"No polygon of the permafrost map has a value among {', '.join(sorted(names))}; its values are "
                f"{', '.join(sorted(seen.names)[:12])}. Nothing counts as permafrost: give the values that do.",
            )
        if preset is not None:
            if preset.lowest is not None and preset.highest is not None and (seen.lowest < preset.lowest or seen.highest > preset.highest):
                reporter.warning(
                    "permafrost_preset",
                    f"The permafrost map holds values from {seen.lowest:g} to {seen.highest:g}; {preset.citation} has {preset.lowest:g} to "
                    f"{preset.highest:g}. Choose the preset of the map that this is, or custom with the values that are permafrost.",
                )
            return
        if not self.map.classes.condition:
            return
        in_0_to_1 = seen.lowest >= 0 and seen.highest <= 1
        if seen.only_class_codes and seen.two_is_counted:
            reporter.warning(
                "permafrost_condition",
                f"The permafrost map holds class codes, and {self.classes!r} also counts class 2. In the maps of Zou et al. (2017), "
                "Zhao and NCDC, 1 is permafrost and 2 is ground without it. Give the classes that count, for example 1.",
            )
        elif in_0_to_1 and not seen.only_class_codes and 0 < seen.lowest_counted < np.float32(FRINGE):
            reporter.warning(
                "permafrost_fringe",
                f"{self.classes!r} counts cells with values down to {seen.lowest_counted:.3g}. In the permafrost zonation index "
                f"(Gruber 2012), 0.01 is the fringe of uncertainty and permafrost begins at {FRINGE}. Consider >={FRINGE}.",
            )


@contextmanager
def open_permafrost_map(
    path: str, preset: str = "custom", classes: str = "1", layer: str | None = None, attribute: str = "", source: str = ""
) -> Iterator[PermafrostMap]:
    """A permafrost map, ready to be asked.

    Parameters
    ----------
    path : raster (its first band is used) or polygon file
    preset : one of :data:`PRESETS`, which says what is permafrost, or ``custom``
    classes : for ``custom``, the values that are permafrost, see :func:`engine.class_maps.parse_classes`
    layer : of the polygon file, where it holds several
    attribute : field of the polygon file that holds the value; with ``custom``, empty when every polygon is permafrost
    source : whose map it is, the preset's citation and the file's name when empty

    Raises
    ------
    EngineError
        those of :func:`engine.class_maps.open_class_map`; ``map_field`` when a preset's polygons need a field.
    """
    file_name = Path(path).name
    if preset not in PRESETS:
        with open_class_map(path, classes, layer, attribute) as opened:
            yield PermafrostMap(opened, classes, None, source or file_name)
        return
    known = PRESETS[preset]
    attribute = attribute or known.attribute
    with open_class_map(path, known.classes, layer, attribute, known.nodata) as opened:
        if isinstance(opened, PolygonMap) and not attribute:
            raise EngineError(
                "map_field",
                f"{path} is a polygon map, and for the preset {preset} its values decide: name the field that holds them. Where every "
                "polygon is permafrost, choose the preset custom.",
            )
        yield PermafrostMap(opened, known.classes, known, source or f"{known.citation} ({file_name})")
