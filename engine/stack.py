"""The spectral stack as a network reads it: channels by name, indices computed where the stack has none, NaN for what is
not observed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from engine import indices, rasters
from engine.card import ModelCard
from engine.errors import EngineError
from jobs import STACK_BANDS

REFLECTANCE = ("red", "green", "blue", "nir")
NEEDED_BY = {"evi": ("red", "blue", "nir"), "savi": ("red", "nir")}
REFLECTANCE_RANGE = (-0.05, 1.5)
"""Atmospheric correction leaves values slightly below 0; sunlit snow and glint exceed 1."""
TOLERATED_SHARE = 0.05


@dataclass(frozen=True)
class Channels:
    """Where the channels of a network come from.

    ``names`` in the network's order; ``bands`` name -> band number from 1, of the bands to read; ``computed`` the indices
    to compute from them; ``absent`` channels that stay NaN; ``required`` the channels in which a pixel has to be finite
    to count as observed.
    """

    names: tuple[str, ...]
    bands: dict[str, int]
    computed: tuple[str, ...]
    absent: tuple[str, ...]
    required: tuple[str, ...]


def choose_channels(descriptions: Sequence[str | None], card: ModelCard, source: str) -> Channels:
    """Find the channels that a model asks for among the named bands of a raster.

    Parameters
    ----------
    descriptions : the names of the raster's bands, in any case
    card : the model's
    source : the raster's name, for messages

    Raises
    ------
    EngineError
        ``bands_unnamed`` when no band has a name, ``band_missing`` when a channel is neither there nor computable.
    """
    names = [(description or "").strip().lower() for description in descriptions]
    if not any(names):
        raise EngineError(
            "bands_unnamed",
            f"The {len(names)} bands of {source} have no names, so red, green, blue and nir cannot be told apart. "
            "Run Prepare spectral stack on it first.",
        )
    numbers = {name: names.index(name) + 1 for name in names if name}
    optional = {"nir", "evi", "savi"} if card.nir == "optional" else set()
    absent_ones = [name for name in card.bands if name not in numbers]
    computed = tuple(name for name in absent_ones if all(band in numbers for band in NEEDED_BY.get(name, (name,))))
    absent = tuple(name for name in absent_ones if name in optional and name not in computed)
    missing = [name for name in absent_ones if name not in computed and name not in absent]
    if missing:
        there = ", ".join(name or "(no name)" for name in names)
        remedy = "Run Prepare spectral stack on the scene first."
        further = [name for name in missing if name not in STACK_BANDS]
        if further:
            remedy = (
                f"A spectral stack has none of that kind: add {', '.join(further)} to it as {'bands' if len(further) > 1 else 'a band'} of "
                f"{'these names' if len(further) > 1 else 'this name'}, on its pixels, or choose a model that works without."
            )
        elif "nir" in missing and {"red", "green", "blue"} <= set(numbers):
            remedy = "Give a scene with a near-infrared band to Prepare spectral stack, or choose a model that works without."
        raise EngineError(
            "band_missing",
            f"{source} has no band named {', '.join(missing)}, which the model {card.name} needs; its bands are {there}. {remedy}",
        )
    wanted = [name for name in card.bands if name in numbers] + [band for name in computed for band in NEEDED_BY[name]]
    bands = {name: numbers[name] for name in dict.fromkeys(wanted)}
    required = tuple(name for name in card.bands if name not in NEEDED_BY and name not in optional)
    return Channels(card.bands, bands, computed, absent, required)


def read_channels(source: DatasetReader | WarpedVRT, channels: Channels, window: Window) -> NDArray[np.float32]:
    """The network's input over a window: (channels, rows, cols) reflectance 0-1 and indices, NaN where not observed.

    Nodata, masked pixels and infinities are NaN. Indices are computed from the pixels as they come out of ``source``,
    after any resampling.

    Raises
    ------
    EngineError
        ``truncated_file`` from :func:`engine.rasters.read_observed`.
    """
    values = _read_by_name(source, channels.bands, window)
    if "evi" in channels.computed:
        values["evi"] = indices.evi(values["red"], values["blue"], values["nir"])
    if "savi" in channels.computed:
        values["savi"] = indices.savi(values["red"], values["nir"])
    nothing = np.full((window.height, window.width), np.nan, np.float32)
    return np.stack([values.get(name, nothing) for name in channels.names])


def observed(stack: NDArray[np.float32], channels: Channels) -> NDArray[np.bool_]:
    """(rows, cols) True where every required channel of a (channels, rows, cols) stack has a value."""
    required = [channels.names.index(name) for name in channels.required]
    return np.asarray(np.isfinite(stack[required]).all(axis=0) if required else np.isfinite(stack).any(axis=0))


def check_stack(dataset: DatasetReader, channels: Channels, model: str) -> bool:
    """Look at a sample of a stack before the long run.

    Returns
    -------
    True when a near-infrared band is there but holds no values although red, green and blue do (a true colour scene)

    Raises
    ------
    EngineError
        ``not_reflectance`` when many values are none, with the SENSOR that fits them;
        ``band_missing`` when the model needs the near-infrared band and it is empty.
    """
    bands = {name: number for name, number in channels.bands.items() if name in REFLECTANCE}
    if not bands:
        return False
    samples = [_read_by_name(dataset, bands, window) for window in rasters.spread_windows(rasters.Grid.of(dataset), per_side=4)]
    values = {name: np.concatenate([sample[name].ravel() for sample in samples]) for name in bands}
    for name, value in values.items():
        finite = value[np.isfinite(value)]
        low, high = REFLECTANCE_RANGE
        if finite.size and np.mean((finite < low) | (finite > high)) > TOLERATED_SHARE:
            raise EngineError(
                "not_reflectance",
                f"The {name} band of {dataset.name} is not surface reflectance between 0 and 1: its values run from "
                f"{finite.min():.5g} to {finite.max():.5g}. {_fitting_sensor(finite)}",
            )
    if "nir" not in values or np.isfinite(values["nir"]).any():
        return False
    seen_elsewhere = all(np.isfinite(value).any() for name, value in values.items() if name != "nir")
    if seen_elsewhere and "nir" in channels.required:
        raise EngineError(
            "band_missing",
            f"The nir band of {dataset.name} holds no values, and the model {model} needs them. "
            "Give a scene with a near-infrared band to Prepare spectral stack, or choose a model that works without.",
        )
    return seen_elsewhere


def _fitting_sensor(values: NDArray[np.float32]) -> str:
    low, high = np.percentile(values, (2, 98))
    if low >= 5000:
        sensor = "landsat_c2_l2"
    elif high <= 255:
        sensor = "naip (8 bit), or custom with the scale of the product"
    else:
        sensor = "sentinel2_l2a, planetscope_sr or gaofen_pms, whichever took it"
    return f"Run Prepare spectral stack on the scene with SENSOR {sensor}."


def _read_by_name(source: DatasetReader | WarpedVRT, bands: dict[str, int], window: Window) -> dict[str, NDArray[np.float32]]:
    return dict(zip(bands, rasters.read_observed(source, list(bands.values()), window), strict=True))
