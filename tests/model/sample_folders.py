"""Small folders of samples to train on in tests."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import CRS

from engine.prepare import spectral_stack
from engine.rasters import Grid
from engine.sample_files import UNKNOWN, Sample, Statistics, described_mask, write_sample


def sample(number: int, side: int = 64, positive: bool = True, nir: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Image (6, side, side) and mask: bright, rough rectangles are rock glaciers; a corner is unknown, the last rows were not observed."""
    rng = np.random.default_rng(number)
    reflectance = rng.normal(0.2, 0.02, (4, side, side)).astype(np.float32)
    mask = np.zeros((side, side), np.uint8)
    if positive:
        top, left = rng.integers(0, side // 2, 2)
        mask[top : top + side // 3, left : left + side // 2] = 1
        reflectance += 0.3 * mask
    mask[:4, :4] = UNKNOWN
    reflectance[:, -3:] = np.nan
    if not nir:
        reflectance[3] = np.nan
    return spectral_stack(reflectance), mask


def sample_folder(
    folder: Path,
    train: str = "+++-",
    validation: str = "+-",
    side: int = 64,
    nir: bool = True,
    pixel: float | None = 10.0,
) -> Path:
    """A folder as ``rock-glacier samples`` writes it; ``train`` and ``validation``: a + for each positive sample, a - for each negative."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    total = Statistics()
    rows = []
    for number, (split, kind) in enumerate([*(("train", k) for k in train), *(("validation", k) for k in validation)], 1):
        image, mask = sample(number, side, kind == "+", nir)
        name = f"{number:06d}"
        write_sample(folder, name, Grid(CRS.from_epsg(32645), Affine(10, 0, 6e5, 0, -10, 3e6), side, side), image, mask)
        total += Statistics.of(image)
        rows.append(
            Sample(
                name,
                f"images/{name}.tif",
                f"masks/{name}.tif",
                split,
                made_for="outline",
                source="/somewhere/stack.tif",
                date="2024-08-01",
                outline="",
                status="",
                block="",
                x=None,
                y=None,
                longitude=None,
                latitude=None,
                crs="EPSG:32645",
                pixel_size_m=pixel,
                rows=side,
                columns=side,
                **described_mask(mask),
            )  # fmt: skip
        )
    with open(folder / "samples.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(Sample)])
        writer.writeheader()
        writer.writerows(map(dataclasses.asdict, rows))
    (folder / "samples.json").write_text(json.dumps({"recipe": "blocks", "bands": total.by_band()}))
    return folder
