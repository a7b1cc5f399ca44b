"""From pixel values to surface reflectance: the scalings of the common products, and how to tell which one a scene has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError

PLAUSIBLE = (-0.05, 1.2)
"""Reflectance of a corrected scene. A little below 0 in shadow is noise of the correction, above 1 is snow that faces the sun."""
TOLERATED_SHARE = 0.05
DARKEST_SCENE = 0.02
"""A scene whose brightest pixels stay below this was scaled wrongly: snow, rock and vegetation all are brighter."""
KEPT_RANGE = (0.0, 1.5)
"""Noise below 0 becomes 0; sunlit snow above 1 keeps its value up to 1.5."""

FILL_VALUES = (-9999.0, -999.0, -32768.0, -32767.0, 65535.0, float(np.finfo(np.float32).min))
FILL_SHARE = 0.01

BOA_OFFSET = -1000.0
OFFSET_FLOOR, SURELY_NO_OFFSET = 800.0, 500.0
"""Darkest pixels (DN). With the offset of -1000 still to be applied, a DN below 500 would be a reflectance below -0.05."""


@dataclass(frozen=True)
class Scaling:
    """reflectance = value * ``scale`` + ``offset``; the values ``nodata`` are not observed.

    ``why`` in words how the scaling was chosen; ``warnings`` (code, text) what the person should know about it.
    """

    sensor: str
    scale: float
    offset: float
    nodata: tuple[float, ...] = ()
    why: str = "as asked for"
    warnings: tuple[tuple[str, str], ...] = ()

    @property
    def formula(self) -> str:
        """In words: ``value x 0.0001 - 0.1``."""
        shift = f" {'-' if self.offset < 0 else '+'} {abs(self.offset):g}" if self.offset else ""
        return f"value x {self.scale:g}{shift}"

    def raw_reflectance(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Reflectance of (bands, ...) pixel values as the formula gives it, NaN where not observed.

        Beside NaN and the values of ``nodata``, pixels that are 0 in every band are not observed: the collar of a scene.
        """
        observed = np.isfinite(values) & (values != 0).any(axis=0)
        for value in self.nodata:
            observed &= values != np.float32(value)
        return np.where(observed, values * np.float32(self.scale) + np.float32(self.offset), np.float32(np.nan))

    def reflectance(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """As :meth:`raw_reflectance`, clipped to 0-1.5."""
        return np.clip(self.raw_reflectance(values), *KEPT_RANGE)


PRESETS = {
    "reflectance": Scaling("reflectance", 1.0, 0.0),
    "sentinel2_l2a": Scaling("sentinel2_l2a", 1e-4, 0.0, (0.0,)),
    "landsat_c2_l2": Scaling("landsat_c2_l2", 2.75e-5, -0.2, (0.0,)),
    "planetscope_sr": Scaling("planetscope_sr", 1e-4, 0.0, (0.0,)),
    "gaofen_pms": Scaling("gaofen_pms", 1e-4, 0.0),
    "naip": Scaling("naip", 1 / 255, 0.0),
}
"""Products and their scalings.

``reflectance`` the file's values, unscaled where its bands declare a scale, are reflectance 0-1 already.
``sentinel2_l2a`` DN/10000, or (DN - 1000)/10000 where BOA_ADD_OFFSET is still to be applied (:func:`boa_offset`).
``landsat_c2_l2`` Collection 2 Level 2. ``planetscope_sr`` ortho_analytic_sr.
``gaofen_pms`` *surface reflectance x 10000* as ENVI's QUAC writes it after radiometric calibration; digital numbers of
an L1A scene and radiance are refused.
``naip`` 8 bit colours, not reflectance: indices are relative.
"""

PRODUCT_NAMES = {
    "sentinel2_l2a": re.compile(r"MSIL[12][AC]|SENTINEL[-_ ]?2|COPERNICUS SENTINEL|\bS2[ABC]?\b|\bS2[ABC]?_", re.IGNORECASE),
    "landsat_c2_l2": re.compile(r"L[COET]0[4-9]_L2S[PR]", re.IGNORECASE),
    "planetscope_sr": re.compile(r"ANALYTIC(?:MS|_[48]B)?_SR", re.IGNORECASE),
    "gaofen_pms": re.compile(r"\bGF[1-7][A-D]?_(?:PMS|WFV)", re.IGNORECASE),
    "naip": re.compile(r"\bNAIP\b|\bm_\d{7}_[ns][ew]_\d", re.IGNORECASE),
}
NOT_CORRECTED = (
    (
        re.compile(r"L[COET]0[4-9]_L1", re.IGNORECASE),
        "Landsat Level-1 holds digital numbers. Get the Level-2 product (L2SP) of this scene.",
    ),
    (
        re.compile(r"ANALYTICMS(?!_SR)|ORTHO_ANALYTIC_[48]B(?!_SR)", re.IGNORECASE),
        "PlanetScope analytic without _SR holds radiance. Get the surface reflectance asset (ortho_analytic_sr) of this scene.",
    ),
)
TOP_OF_ATMOSPHERE = re.compile(r"MSIL1C|\bL1C\b|\bTOA\b", re.IGNORECASE)


@dataclass(frozen=True)
class Evidence:
    """What a scene tells about its scaling.

    ``name`` of its file; ``tags`` of the file and the bands read, descriptions among them; ``scales`` and ``offsets`` that
    its bands declare; ``is_float`` type of the pixels; ``sample`` (bands, n) pixel values from all over the scene,
    NaN where not observed.
    """

    name: str
    sample: NDArray[np.float32]
    is_float: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    scales: tuple[float, ...] = (1.0,)
    offsets: tuple[float, ...] = (0.0,)

    @property
    def text(self) -> str:
        """File name and tags, for product names."""
        return " ".join((self.name, *self.tags.values()))

    @cached_property
    def values(self) -> NDArray[np.float32]:
        """(bands, n) the sample without pixels that are 0 in every band and without fill values."""
        fill = self.undeclared_fill
        observed = (self.sample != 0).any(axis=0) & (self.sample != (np.float32(fill) if fill is not None else np.nan))
        return np.where(observed, self.sample, np.float32(np.nan))

    @cached_property
    def undeclared_fill(self) -> float | None:
        """A value that products use for "no data", at the end of the range of a sample in which it is frequent."""
        finite = self.sample[np.isfinite(self.sample)]
        for value in map(np.float32, FILL_VALUES):
            if finite.size and value in (finite.min(), finite.max()) and np.mean(finite == value) > FILL_SHARE:
                return float(value)
        return None

    @property
    def is_empty(self) -> bool:
        """True when nothing was observed."""
        return not np.isfinite(self.values).any()

    @cached_property
    def darkest(self) -> float:
        """Value below which the darkest thousandth of the pixels of any band lies."""
        return min(_percentiles(self.values, 0.1))

    @cached_property
    def brightest(self) -> float:
        """Value above which the brightest thousandth of the pixels of any band lies."""
        return max(_percentiles(self.values, 99.9))


def choose_scaling(sensor: str, evidence: Evidence, scale: float = 1.0, offset: float = 0.0) -> Scaling:
    """The scaling of a scene, by the person's choice or, for ``auto``, by its metadata and then by its values.

    Parameters
    ----------
    sensor : one of :data:`jobs.SENSORS`
    evidence : what the scene tells
    scale, offset : for ``custom``

    Raises
    ------
    EngineError
        ``not_reflectance`` when the result would not be reflectance, with the sensor that fits the values;
        ``scales_differ`` when the bands declare scales that differ.
    """
    if evidence.is_empty:
        chosen = Scaling("reflectance" if sensor == "auto" else sensor, scale, offset, why="nothing was observed")
        return chosen if sensor in ("auto", "custom") else PRESETS[sensor]
    if sensor == "auto":
        chosen = _from_metadata(evidence) or _from_values(evidence)
    elif sensor == "custom":
        chosen = Scaling("custom", scale, offset)
    elif sensor == "reflectance":
        chosen = _declared(evidence) or PRESETS["reflectance"]
    else:
        chosen = _of_product(sensor, evidence, "as asked for")
    chosen = _with_fill(chosen, evidence)
    check_reflectance(chosen, evidence)
    return chosen


def _with_fill(chosen: Scaling, evidence: Evidence) -> Scaling:
    fill = evidence.undeclared_fill
    if fill is None or fill in chosen.nodata:
        return chosen
    text = f"The value {fill:g} is frequent in {evidence.name} and no reflectance: taken as not observed, though not declared as no-data."
    return Scaling(
        chosen.sensor, chosen.scale, chosen.offset, (*chosen.nodata, fill), chosen.why, (*chosen.warnings, ("nodata_assumed", text))
    )


def _of_product(sensor: str, evidence: Evidence, why: str) -> Scaling:
    preset = PRESETS[sensor]
    warnings: list[tuple[str, str]] = []
    offset = preset.offset
    if sensor == "gaofen_pms":
        _refuse_raw_gaofen(evidence)
    if sensor == "naip":
        text = "8 bit colours are no reflectance: EVI and SAVI are relative, and a network trained on reflectance may miss."
        warnings.append(("relative_reflectance", text))
    if sensor == "sentinel2_l2a":
        offset_dn, reason, warning = boa_offset(evidence)
        offset = offset_dn * preset.scale
        why = f"{why}; {reason}"
        warnings += [warning] if warning else []
    if TOP_OF_ATMOSPHERE.search(evidence.text):
        text = f"{evidence.name} seems to be top-of-atmosphere reflectance (L1C); EVI and SAVI need surface reflectance (L2A)."
        warnings.append(("top_of_atmosphere", text))
    return Scaling(sensor, preset.scale, offset, preset.nodata, why, tuple(warnings))


def _declared(evidence: Evidence) -> Scaling | None:
    """The scaling that the bands of the file declare."""
    pairs = set(zip(evidence.scales, evidence.offsets, strict=True))
    if len(pairs) > 1:
        raise EngineError(
            "scales_differ",
            f"The bands of {evidence.name} declare scales that differ. Write reflectance first: gdal_translate -unscale.",
        )
    scale, offset = pairs.pop()
    if (scale, offset) == (1.0, 0.0):
        return None
    return Scaling("reflectance", scale, offset, why="scale and offset that its bands declare")


def _from_metadata(evidence: Evidence) -> Scaling | None:
    for pattern, remedy in NOT_CORRECTED:
        if pattern.search(evidence.text):
            raise EngineError("not_reflectance", f"{evidence.name}: {remedy}")
    declared = _declared(evidence)
    if declared is not None:
        for name in ("sentinel2_l2a", "landsat_c2_l2"):
            offset = BOA_OFFSET * 1e-4 if name == "sentinel2_l2a" else PRESETS[name].offset
            if np.allclose((declared.scale, declared.offset), (PRESETS[name].scale, offset), rtol=1e-6):
                return _of_product(name, evidence, declared.why)
        return declared
    looks_scaled = not (evidence.is_float and evidence.brightest <= 2)
    for name, pattern in PRODUCT_NAMES.items():
        match = pattern.search(evidence.text)
        if match and looks_scaled:
            return _of_product(name, evidence, f'"{match[0]}" in its name or tags')
    return None


def _from_values(evidence: Evidence) -> Scaling:
    """What the values look like, where nothing else tells."""
    dark, bright = evidence.darkest, evidence.brightest
    span = f"values {_number(dark)} to {_number(bright)}"
    if bright <= 2 and evidence.is_float:
        return Scaling("reflectance", 1.0, 0.0, why=f"{span} are reflectance already")
    if 2 < bright <= 255 or (bright <= 2 and not evidence.is_float):
        assumed = _of_product("naip", evidence, f"{span} look like 8 bit colours")
    elif dark >= 5000:
        assumed = _of_product("landsat_c2_l2", evidence, f"{span} look like Landsat Collection 2")
    elif 1023 < bright <= 20000:
        offset_dn, reason, warning = boa_offset(evidence)
        why = f"{span} look like reflectance x 10000; {reason}"
        assumed = Scaling("custom", 1e-4, offset_dn * 1e-4, (0.0,), why, (warning,) if warning else ())
    else:
        raise EngineError(
            "not_reflectance",
            f"The {span} of {evidence.name} do not tell how they become reflectance; raw digital numbers need calibration and atmospheric "
            "correction first. Choose its SENSOR, or custom with the product's SCALE and OFFSET.",
        )
    text = f"Nothing in {evidence.name} names its sensor: {assumed.why}, read as {assumed.formula}. Choose SENSOR if that is wrong."
    return Scaling(
        assumed.sensor, assumed.scale, assumed.offset, assumed.nodata, assumed.why, (("sensor_assumed", text), *assumed.warnings)
    )


def boa_offset(evidence: Evidence) -> tuple[float, str, tuple[str, str] | None]:
    """The offset that is still to be added to the digital numbers of a Sentinel-2 scene: 0 or, usually, -1000.

    Products of processing baseline 04.00 and later, and reprocessed older ones, carry it; harmonised copies of them do
    not, whatever their date. So the metadata decide: a BOA_ADD_OFFSET, a statement that it was applied, the offset of the
    bands, the baseline. Where they say nothing, or what the darkest pixels contradict, the darkest pixels decide.

    Returns
    -------
    offset in DN, the reason in words, and a warning (code, text) where the metadata did not settle it

    Source
    ------
    ESA, Sentinel-2 Products Specification Document, processing baseline 04.00: (DN + BOA_ADD_OFFSET) / QUANTIFICATION_VALUE.
    """
    declared, where = _declared_boa_offset(evidence)
    darkest = evidence.darkest
    if declared is not None and declared < 0 and darkest < SURELY_NO_OFFSET:
        text = (
            f"{where} says that {-declared:g} is to be subtracted from {evidence.name}, but its darkest pixels ({_number(darkest)}) would "
            "then have a negative reflectance: taken as subtracted already."
        )
        return 0.0, "offset applied already", ("offset_contradicted", text)
    if declared is not None:
        return declared, f"offset {declared:g} by {where}", None
    if darkest < SURELY_NO_OFFSET:
        return 0.0, f"no offset, darkest pixels {_number(darkest)}", None
    assumed = 0.0 if darkest < OFFSET_FLOOR else BOA_OFFSET
    text = (
        f"Nothing in {evidence.name} tells whether BOA_ADD_OFFSET (-1000, baseline 04.00 and later) was applied. Its darkest pixels "
        f"({_number(darkest)}) suggest that it {'was not: 1000 is subtracted' if assumed else 'was'}. If that is wrong, choose custom "
        f"with SCALE 0.0001 and OFFSET {-0.1 if not assumed else 0:g}."
    )
    return assumed, f"offset {assumed:g} by the darkest pixels ({_number(darkest)})", ("offset_assumed", text)


def _declared_boa_offset(evidence: Evidence) -> tuple[float | None, str]:
    tags = {name.upper(): value for name, value in evidence.tags.items()}
    for name, value in tags.items():
        if "OFFSET_APPLIED" in name and value.strip().lower() in ("true", "yes", "1"):
            return 0.0, name
    for name, value in tags.items():
        number = re.search(r"-?\d+(?:\.\d+)?", value)
        if ("BOA_ADD_OFFSET" in name or "RADIO_ADD_OFFSET" in name) and number:
            return float(number[0]), name
    if any(evidence.offsets):
        return evidence.offsets[0] / evidence.scales[0], "the bands' offset"
    baseline = re.search(r"\d+\.\d+", tags.get("PROCESSING_BASELINE", ""))
    if baseline:
        return (BOA_OFFSET if float(baseline[0]) >= 4 else 0.0), f"processing baseline {baseline[0]}"
    in_name = re.search(r"_N(\d\d)(\d\d)_R\d{3}_", evidence.text)
    if in_name:
        return (BOA_OFFSET if int(in_name[1]) >= 4 else 0.0), f"processing baseline {in_name[1]}.{in_name[2]}"
    return None, ""


def _refuse_raw_gaofen(evidence: Evidence) -> None:
    bright = evidence.brightest
    is_raw = 2 < bright <= 1023 or (bright <= 4095 and re.search(r"L1A", evidence.text) is not None)
    if is_raw:
        raise EngineError(
            "not_reflectance",
            f"{evidence.name} holds raw digital numbers or radiance (values up to {_number(bright)}). gaofen_pms expects surface "
            "reflectance x 10000: calibrate the scene radiometrically (gain and bias of its year), correct it for the "
            "atmosphere (QUAC, FLAASH or 6S), then prepare it.",
        )


def check_reflectance(scaling: Scaling, evidence: Evidence) -> None:
    """Refuse a scaling that does not give reflectance.

    Raises
    ------
    EngineError
        ``not_reflectance`` when more than 5 % of the observed values lie outside -0.05 to 1.2, or the brightest below
        0.02; the message names the sensor that fits.
    """
    result = scaling.raw_reflectance(evidence.values)
    result = result[np.isfinite(result)]
    if not result.size:
        return
    outside = float(np.mean((result < PLAUSIBLE[0]) | (result > PLAUSIBLE[1])))
    dark, bright = evidence.darkest, evidence.brightest
    low, high = (value * scaling.scale + scaling.offset for value in (dark, bright))
    span = f"values {_number(dark)} to {_number(bright)} become {low:.3g} to {high:.3g}"
    if outside > TOLERATED_SHARE:
        wrong = f"{100 * outside:.0f} % of the reflectance lies outside {PLAUSIBLE[0]:g} to {PLAUSIBLE[1]:g}"
    elif np.percentile(result, 99.9) < DARKEST_SCENE:
        wrong = "everything is black"
    else:
        return
    raise EngineError(
        "not_reflectance", f"With SENSOR {scaling.sensor} ({scaling.formula}) {wrong}: {span}. {_what_fits(scaling, evidence)}"
    )


def _what_fits(refused: Scaling, evidence: Evidence) -> str:
    try:
        fitting = _from_metadata(evidence) or _from_values(evidence)
    except EngineError as error:
        return error.text
    if fitting.formula == refused.formula:
        return "Choose SENSOR custom with the product's SCALE and OFFSET."
    if fitting.sensor == "custom":
        fits = "sentinel2_l2a" if fitting.offset else "sentinel2_l2a, planetscope_sr or gaofen_pms, whichever took it,"
    else:
        fits = fitting.sensor
    return f"SENSOR {fits} fits these values ({fitting.formula})."


def _percentiles(values: NDArray[np.float32], percent: float) -> list[float]:
    bands = (band[np.isfinite(band)] for band in values)
    return [float(np.percentile(band, percent)) for band in bands if band.size]


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
