"""Feature sets: the bands that a network reads, by name."""

from __future__ import annotations

from jobs import STACK_BANDS

RGB = ("red", "green", "blue")
TERRAIN = ("elevation", "slope")
SAR = ("sar_co", "sar_cross", "coherence")

FEATURE_SETS: dict[str, tuple[str, ...]] = {
    "rgb": RGB,
    "optical": STACK_BANDS,
    "optical+dem": (*STACK_BANDS, *TERRAIN),
    "optical+dem+sar": (*STACK_BANDS, *TERRAIN, *SAR),
}
"""Those of Maslov and Schellenberger (2022), and RGB. Elevation in metres, slope in degrees, ``sar_co`` and ``sar_cross`` intensity of
the co- and cross-polarised signal (in whatever unit the samples have), coherence 0-1. A network may as well read any other bands of
any names: its samples and the rasters it runs on have to have bands of these names."""
