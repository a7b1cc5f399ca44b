"""What covers the ground, and its reflectance in red, green, blue and near infrared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.simulator.glaciers import IceCover
from model.simulator.light import Sun, sky_view, sunlight
from model.simulator.noise import Array, fractal, gaussian, smoothstep
from model.simulator.rock_glaciers import Traces

LAND_COVER = {
    "rock": 1,
    "talus": 2,
    "debris": 3,
    "meadow": 4,
    "forest": 5,
    "rock_glacier": 6,
    "moraine": 7,
    "stream": 8,
    "road": 9,
    "debris_covered_ice": 10,
    "glacier": 11,
    "lake": 12,
    "snow": 13,
    "landslide": 14,
    "fan": 15,
}
"""Codes of ``Landscape.landcover``; 0 does not occur."""

ROCKS = {
    "granite": (0.205, 0.200, 0.190, 0.225),
    "schist": (0.165, 0.140, 0.118, 0.205),
    "volcanic": (0.185, 0.128, 0.100, 0.215),
    "limestone": (0.300, 0.285, 0.255, 0.330),
    "slate": (0.115, 0.113, 0.112, 0.140),
    "ochre": (0.240, 0.185, 0.130, 0.280),
}
"""Reflectance in red, green, blue, near infrared of weathered bare rock on level sunlit ground, values typical of
Sentinel-2 scenes."""


@dataclass(frozen=True)
class Look:
    """How a scene looks: its rocks, plants, snow, light, haze and sensor."""

    rocks: tuple[tuple[float, ...], tuple[float, ...]]
    vegetation: float
    meadow: tuple[float, ...]
    forest: tuple[float, ...]
    forest_share: float
    tree_line: float
    meadow_line: float
    snow_line: float
    snow_amount: float
    lake: tuple[float, ...]
    sun: Sun
    haze: float
    diffuse: float
    brightness: float
    blur: float
    noise: float
    contrast: float
    texture: float


def draw_look(rng: np.random.Generator, sun: Sun, tree_line: float, meadow_line: float, snow_line: float) -> Look:
    """A random look; the lines are elevations in metres."""

    def vary(colour: tuple[float, ...], overall: float, each: float) -> tuple[float, ...]:
        factor = rng.uniform(1 - overall, 1 + overall)
        return tuple(float(band * factor * rng.uniform(1 - each, 1 + each)) for band in colour)

    names = list(ROCKS)
    first, second = rng.choice(len(names), 2)
    vegetation = float(rng.choice([0.0, rng.uniform(0.1, 0.5), rng.uniform(0.5, 1.0)], p=[0.35, 0.3, 0.35]))
    turquoise = rng.uniform(0, 1)
    return Look(
        rocks=(vary(ROCKS[names[first]], 0.3, 0.05), vary(ROCKS[names[second]], 0.3, 0.05)),
        vegetation=vegetation,
        meadow=vary((0.085, 0.095, 0.052, 0.30), 0.25, 0.15),
        forest=vary((0.028, 0.040, 0.026, 0.19), 0.3, 0.12),
        forest_share=float(rng.uniform(0.3, 1)) if vegetation > 0.5 else 0.0,
        tree_line=tree_line,
        meadow_line=meadow_line,
        snow_line=snow_line,
        snow_amount=float(rng.choice([0.0, rng.uniform(0.2, 0.8), rng.uniform(0.8, 1.5)], p=[0.2, 0.5, 0.3])),
        lake=tuple(
            float(v)
            for v in np.array([0.02 + 0.06 * turquoise, 0.03 + 0.12 * turquoise, 0.035 + 0.12 * turquoise, 0.012 + 0.012 * turquoise])
        ),
        sun=sun,
        haze=float(rng.uniform(0, 0.035)),
        diffuse=float(rng.uniform(0.08, 0.25)),
        brightness=float(rng.uniform(0.75, 1.25)),
        blur=float(rng.uniform(0.35, 0.8)),
        noise=float(rng.uniform(0.0005, 0.003)),
        contrast=float(rng.uniform(0.1, 0.9)),
        texture=float(rng.uniform(0.6, 1.4)),
    )


@dataclass(frozen=True)
class Cover:
    """Shares of ground cover that are placed before painting, each (rows, cols) float32 0-1, and the lakes' numbers."""

    labels: NDArray[np.int32]
    activity: NDArray[np.uint8]
    traces: Traces
    ice: IceCover
    lookalikes: dict[str, Array]
    lakes: NDArray[np.int32]
    stream: Array
    road: Array


def paint(
    rng: np.random.Generator,
    elevation: Array,
    slope: Array,
    poleward: Array,
    chutes: Array,
    cover: Cover,
    look: Look,
    resolution: float,
) -> tuple[Array, NDArray[np.uint8]]:
    """Reflectance (4, rows, cols) 0-1 and land cover codes (rows, cols).

    Parameters
    ----------
    elevation, slope : (rows, cols) float32
        Metres; degrees.
    poleward : (rows, cols) float32
        1 on slopes that face the pole, -1 towards the equator, times the sine of the slope.
    chutes : (rows, cols) float32
        Streaks along the fall line, mean 0, standard deviation 1.
    """
    shape = elevation.shape
    patches = fractal(rng, shape, 900 / resolution, 30 / resolution)
    grain = fractal(rng, shape, 120 / resolution, 2, gain=rng.uniform(0.5, 0.8))
    relative = elevation + 60 * patches
    canvas = _Canvas(_bedrock(rng, elevation, look, resolution), shape)

    steep = slope + 2 * patches + 2.5 * chutes
    loose = 1 - smoothstep(steep, 35, 41)
    scree = loose * smoothstep(steep, 22, 27)
    wall = 1 - loose
    canvas.tint(loose, np.float32(rng.uniform(0.85, 1.2)) * (1 + 0.06 * grain))
    canvas.tint(scree, np.float32(rng.uniform(0.92, 1.15)) * (1 + np.float32(0.07 * look.texture) * chutes))
    canvas.tint(wall, 1 + np.float32(0.09 * look.texture) * grain + 0.06 * chutes)
    canvas.tint(1, 1 + np.float32(0.05 * look.texture) * (grain + patches))
    canvas.mark(loose > 0.5, "debris")
    canvas.mark(scree > 0.5, "talus")
    bare = canvas.albedo.copy()

    lush = look.vegetation * smoothstep(-relative, -look.meadow_line, -look.meadow_line + 250)
    crest = smoothstep(elevation - gaussian(elevation, 120 / resolution), 6, 20)
    green = (
        lush
        * (1 - crest)
        * (1 - smoothstep(steep, 28, 38))
        * smoothstep(patches + 0.5 * grain - 0.3 * chutes, 0.9 - 2.6 * lush, 2.0 - 2.6 * lush)
    )
    canvas.lay(green, look.meadow, 1 + 0.15 * patches + 0.06 * grain, "meadow")
    woods = look.forest_share * (1 - smoothstep(relative + 12 * grain, look.tree_line - 60, look.tree_line + 20))
    woods = woods * (1 - smoothstep(steep, 36, 44)) * smoothstep(patches + 0.15 * grain, -1.2, -0.8)
    canvas.lay(woods, look.forest, 1 + 0.18 * grain, "forest")

    tone = 1 + np.float32(0.07 * look.texture) * cover.lookalikes["tone"] + 0.04 * grain
    for kind in ("fan", "landslide", "moraine"):
        bareness = np.float32(rng.uniform(0.3, 1)) * smoothstep(grain + patches, -1.5, 0.5)
        canvas.lay_field(cover.lookalikes[kind] * bareness, bare, tone)
        canvas.mark(cover.lookalikes[kind] > 0.5, kind)
    _paint_rock_glaciers(rng, canvas, bare, cover, look, grain, patches)
    canvas.lay(np.clip(cover.stream, 0, 1) * 0.7, tuple(1.25 * band for band in look.rocks[0]), 1, "stream")
    canvas.lay(np.clip(cover.road, 0, 1) * 0.9, (0.25, 0.235, 0.21, 0.28), 1, "road", least=0.3)
    _paint_ice(rng, canvas, bare, cover.ice, look, grain)

    lake = cover.lakes > 0
    snow = _snow(rng, relative, slope, poleward, chutes, cover, look, patches, resolution)
    snow[lake] = 0
    white = float(rng.uniform(0.72, 0.95))
    canvas.lay(snow, (white, white * 0.99, white * 0.98, white * 0.9), 1 - 0.03 * np.abs(grain), "snow")
    canvas.lay(lake.astype(np.float32), look.lake, 1 + 0.04 * patches, "lake")
    light = sunlight(elevation, resolution, look.sun)
    return _observe(rng, canvas.albedo, light, sky_view(elevation, resolution), look), canvas.codes


class _Canvas:
    """Albedo and land cover under the brush."""

    def __init__(self, albedo: Array, shape: tuple[int, int]) -> None:
        self.albedo = albedo
        self.codes = np.full(shape, LAND_COVER["rock"], dtype=np.uint8)

    def mark(self, where: NDArray[np.bool_], name: str) -> None:
        self.codes[where] = LAND_COVER[name]

    def tint(self, share: Array | float, factor: Array | np.float32) -> None:
        self.albedo *= 1 + np.asarray(share, dtype=np.float32) * (np.asarray(factor, dtype=np.float32) - 1)

    def lay(self, share: Array, colour: tuple[float, ...], texture: Array | float, name: str, least: float = 0.5) -> None:
        for band, value in enumerate(colour):
            self.albedo[band] += share * (np.float32(value) * np.asarray(texture, dtype=np.float32) - self.albedo[band])
        self.mark(share > least, name)

    def lay_field(self, share: Array, albedo: Array, texture: Array) -> None:
        for band in range(len(self.albedo)):
            self.albedo[band] += share * (albedo[band] * texture - self.albedo[band])


def _bedrock(rng: np.random.Generator, elevation: Array, look: Look, resolution: float) -> Array:
    """Two rocks in bodies and dipping beds; (4, rows, cols)."""
    shape = elevation.shape
    rows, columns = np.indices(shape, dtype=np.float32)
    direction, dip = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.6)
    across_beds = elevation + np.float32(dip * resolution) * (
        np.float32(np.cos(direction)) * rows + np.float32(np.sin(direction)) * columns
    )
    folds = fractal(rng, shape, 2500 / resolution, 100 / resolution)
    beds = np.sin(across_beds / np.float32(rng.uniform(8, 40)) + 2 * folds) * np.sin(across_beds / np.float32(rng.uniform(30, 120)))
    second = smoothstep(folds + np.float32(rng.uniform(0, 0.8)) * beds, rng.uniform(-0.5, 0.8), rng.uniform(0.9, 1.6))
    rock = np.stack([np.float32(a) + second * np.float32(b - a) for a, b in zip(*look.rocks, strict=True)])
    return rock * (1 + np.float32(rng.uniform(0, 0.12)) * beds)


def _paint_rock_glaciers(
    rng: np.random.Generator, canvas: _Canvas, bare: Array, cover: Cover, look: Look, grain: Array, patches: Array
) -> None:
    """Blocks of the rock above, bare where active, plants and lichen in furrows and on margins where not."""
    traces = cover.traces
    body = (cover.labels > 0).astype(np.float32)
    likely = np.array([0.0, 0.0, 0.4, 0.85], dtype=np.float32)[cover.activity]
    likely = likely * np.clip(1.25 - traces.inner + np.clip(-traces.ridge, 0, 1), 0, 1)
    overgrown = likely * smoothstep(patches + grain, -1.0, 0.8)
    weathered = 1 + np.float32(look.contrast * rng.uniform(-0.2, 0.1))
    texture = weathered * (1 + np.float32(0.08 * look.texture) * grain + np.float32(0.05 * look.contrast) * traces.ridge)
    fresh = np.array([0.0, 1.0, 0.45, 0.0], dtype=np.float32)[cover.activity]
    texture *= 1 + traces.front * fresh * np.float32(rng.uniform(0.0, 0.3))
    lichen = np.array([0.0, 0.0, 0.12, 0.18], dtype=np.float32)[cover.activity]
    texture *= 1 - traces.inner * lichen * np.float32(look.contrast)
    canvas.lay_field(body * (1 - overgrown), bare, texture)
    canvas.mark(cover.labels > 0, "rock_glacier")


def _paint_ice(rng: np.random.Generator, canvas: _Canvas, bare: Array, ice: IceCover, look: Look, grain: Array) -> None:
    cover = ice.ice
    blue = rng.uniform(0.9, 1.1)
    tone = float(rng.uniform(0.4, 0.7))
    canvas.lay(cover, (tone * 0.93, tone, tone * 1.04 * blue, tone * 0.8), 1 - 0.35 * ice.crevasse + 0.04 * grain, "glacier")
    canvas.lay_field(ice.debris, bare, np.float32(rng.uniform(0.8, 1.1)) * (1 + 0.08 * grain))
    canvas.mark(ice.debris > 0.5, "debris_covered_ice")
    canvas.lay(ice.cliff * 0.7, (0.22, 0.25, 0.28, 0.2), 1, "debris_covered_ice")
    canvas.lay(ice.pond, look.lake, 1, "lake")


def _snow(
    rng: np.random.Generator,
    relative: Array,
    slope: Array,
    poleward: Array,
    chutes: Array,
    cover: Cover,
    look: Look,
    patches: Array,
    resolution: float,
) -> Array:
    if look.snow_amount <= 0:
        return np.zeros_like(relative)
    hollow = -np.clip((relative - gaussian(relative, 60 / resolution)) / 12, -2, 2)
    score = (relative - look.snow_line) / 200 + 2.0 * poleward + 0.45 * hollow - 0.5 * chutes * (slope > 30) + 0.5 * patches
    score -= np.clip(slope - 42, 0, 20) / 8
    score += 1.2 * cover.ice.ice * smoothstep(relative, look.snow_line - 150, look.snow_line + 150)
    score -= 0.5 * cover.traces.ridge
    threshold = 2.4 - 2.2 * look.snow_amount
    return smoothstep(score, threshold, threshold + 0.5)


def _observe(rng: np.random.Generator, albedo: Array, light: Array, sky: Array, look: Look) -> Array:
    """Direct and diffuse light, haze, the sensor's blur and noise."""
    scene = np.empty_like(albedo)
    for band, (scatter, path) in enumerate(((0.8, 0.55), (1.0, 0.75), (1.3, 1.0), (0.5, 0.3))):
        diffuse = np.float32(min(look.diffuse * scatter, 0.5))
        lit = albedo[band] * np.float32(look.brightness) * ((1 - diffuse) * light + diffuse * sky)
        seen = gaussian(lit + np.float32(look.haze * path), look.blur)
        seen += np.float32(look.noise) * rng.standard_normal(seen.shape, dtype=np.float32) * np.sqrt(0.3 + np.clip(seen, 0, 1) * 2)
        scene[band] = np.clip(seen, 0, 1)
    return scene
