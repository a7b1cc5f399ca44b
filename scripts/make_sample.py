"""Make the sample that ships: ``make_sample.py [--output FOLDER]`` simulates one landscape and writes it as a person's files would be.

The scene, its elevation, its permafrost map and "manual" outlines; the same files on every run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pyogrio
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine.outputs import whole_file  # noqa: E402
from engine.vectors import GPKG_VERSION  # noqa: E402
from model.simulator import LAND_COVER, Landscape, simulate  # noqa: E402
from model.simulator.flows import largest  # noqa: E402

SEED = 14641
ROWS, COLUMNS, RESOLUTION = 512, 640, 10.0
ROCK_GLACIER_SHARE = 0.07
PERMAFROST_CELL = 200.0
PERMAFROST_NODATA = 255
SEASONALLY_FROZEN, PERMAFROST, UNFROZEN = 0, 1, 2
SIMULATED = "Simulated landscape made by Rock Glacier Mapper, no real place"
MADE = "2026-11-20T00:00:00.000Z"

README = """\
Sample of Rock Glacier Mapper: a SIMULATED mountain landscape. No real place, no measurement.

sample_scene.tif       {rows} x {columns} pixels of {resolution:g} m, {crs}; red, green, blue, near infrared;
                       reflectance = value x 0.0001, no offset (as harmonised Sentinel-2 L2A); 0 = no data.
                       Sun azimuth {azimuth:.0f} degrees, elevation {elevation:.0f} degrees.
sample_dem.tif         elevation in metres on the same pixels.
sample_permafrost.tif  ground by cells of {cell:g} m, classes as in Zou et al. 2017: 0 seasonally frozen, 1 permafrost,
                       2 unfrozen (lakes); 255 = no data.
sample_outlines.gpkg   layer "outlines", the {count} rock glaciers of the scene as a person would draw them: the simulated
                       outlines, generalised and a few metres off. Fields id, activity (active, transitional, relict),
                       form (tongue, lobe), area_m2.

sample_probability.tif, sample_predicted.gpkg: what the plugin's bundled model and its post-processing find in the scene.
review/review.gpkg     a review session of them, begun and not worked in: predicted outlines against those of sample_outlines.gpkg.
                       Its manual outlines are the simulation's own; nobody drew them. Made by scripts/make_sample_review.py.

In the scene: {landforms}.
Some relict rock glaciers lie outside permafrost, as they do in nature.

Made by scripts/make_sample.py from simulate({seed}, {rows}, {columns}, {resolution:g}, {share:g}); see docs/simulator.md.
"""


def main() -> None:
    """Write the sample."""
    root = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=root / "resources" / "sample", help="folder to write to")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    landscape = simulate(SEED, ROWS, COLUMNS, RESOLUTION, ROCK_GLACIER_SHARE)
    write_scene(folder / "sample_scene.tif", landscape)
    write_elevation(folder / "sample_dem.tif", landscape)
    write_permafrost(folder / "sample_permafrost.tif", landscape)
    write_outlines(folder / "sample_outlines.gpkg", landscape)
    with whole_file(folder / "README.txt") as path:
        path.write_text(readme(landscape), encoding="utf-8", newline="\n")


def write_scene(path: Path, landscape: Landscape) -> None:
    """Reflectance as uint16, scaled by 0.0001, 0 for no data."""
    values = np.clip(np.rint(landscape.reflectance * 10000), 1, 10000).astype(np.uint16)
    sun = landscape.sun
    tags = {"SCALE": "0.0001", "OFFSET": "0", "SUN_AZIMUTH": f"{sun.azimuth:.1f}", "SUN_ELEVATION": f"{sun.elevation:.1f}"}
    with whole_file(path) as place:
        _write(place, values, landscape, landscape.transform, ["red", "green", "blue", "nir"], 0, 2, tags, scale=0.0001)


def write_elevation(path: Path, landscape: Landscape) -> None:
    """Elevation in metres, to a quarter of a metre."""
    values = (np.rint(landscape.elevation * 4) / 4).astype(np.float32)
    with whole_file(path) as place:
        _write(place, values[None], landscape, landscape.transform, ["elevation in metres"], -9999, 3, {})


def write_permafrost(path: Path, landscape: Landscape) -> None:
    """Ground classes on coarse cells, one row of cells without data around the scene."""
    block = round(PERMAFROST_CELL / landscape.transform.a)
    rows, columns = landscape.permafrost.shape
    fill = ((0, -rows % block), (0, -columns % block))

    def cell_means(field: NDArray[np.floating]) -> NDArray[np.floating]:
        padded = np.pad(field.astype(float), fill, constant_values=np.nan)
        blocks = padded.reshape(padded.shape[0] // block, block, padded.shape[1] // block, block)
        return np.nanmean(blocks, axis=(1, 3))

    classes = np.where(cell_means(landscape.permafrost) >= 0.5, PERMAFROST, SEASONALLY_FROZEN)
    classes[cell_means(landscape.landcover == LAND_COVER["lake"]) > 0.5] = UNFROZEN
    values = np.pad(classes, 1, constant_values=PERMAFROST_NODATA).astype(np.uint8)
    transform = landscape.transform @ Affine.scale(block) @ Affine.translation(-1, -1)
    tags = {"CLASSES": "0 seasonally frozen, 1 permafrost, 2 unfrozen"}
    with whole_file(path) as place:
        _write(place, values[None], landscape, transform, ["permafrost class"], PERMAFROST_NODATA, 1, tags)


def _write(
    path: Path,
    values: NDArray[np.generic],
    landscape: Landscape,
    transform: Affine,
    names: list[str],
    nodata: float,
    predictor: int,
    tags: dict[str, str],
    scale: float = 1.0,
) -> None:
    bands, rows, columns = values.shape
    profile = {"count": bands, "height": rows, "width": columns, "dtype": values.dtype, "crs": landscape.crs, "transform": transform}
    tiling = {"tiled": True, "blockxsize": 256, "blockysize": 256} if rows > 256 else {}
    with rasterio.open(
        path, "w", driver="GTiff", compress="deflate", zlevel=9, predictor=predictor, nodata=nodata, interleave="band", **profile, **tiling
    ) as dataset:
        dataset.write(values)
        dataset.descriptions = names
        dataset.scales = [scale] * bands
        dataset.update_tags(TIFFTAG_IMAGEDESCRIPTION=SIMULATED, **tags)


def write_outlines(path: Path, landscape: Landscape) -> None:
    """The rock glaciers as a person would draw them."""
    rng = np.random.default_rng(SEED)
    records = landscape.rock_glaciers
    rows, columns = landscape.labels.shape
    left, top = landscape.transform @ (0, 0)
    right, bottom = landscape.transform @ (columns, rows)
    scene = shapely.box(left, bottom, right, top)
    drawn = [largest(as_drawn(rng, record.outline).intersection(scene)) for record in records]
    fields = {
        "id": np.array([record.id for record in records], dtype=np.int64),
        "activity": np.array([record.activity for record in records], dtype=object),
        "form": np.array([record.form for record in records], dtype=object),
        "area_m2": np.array([round(outline.area) for outline in drawn], dtype=np.float64),
    }
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": MADE})
    with whole_file(path) as place:
        pyogrio.raw.write(
            place,
            shapely.to_wkb(np.array(drawn)),
            list(fields.values()),
            list(fields),
            layer="outlines",
            driver="GPKG",
            geometry_type="Polygon",
            crs=landscape.crs.to_string(),
            dataset_options={"VERSION": GPKG_VERSION},
            layer_options={"DESCRIPTION": f"{SIMULATED}: rock glaciers as a person would draw them", "IDENTIFIER": "outlines"},
        )


def as_drawn(rng: np.random.Generator, outline: shapely.Polygon) -> shapely.Polygon:
    """An outline drawn by hand: a vertex every 25 m or so, some 4 m beside the true margin, rounded corners."""
    points = np.array(outline.exterior.segmentize(25).coords)[:-1]
    wobble = ndimage.gaussian_filter1d(rng.standard_normal(points.shape), 1.5, axis=0, mode="wrap")
    drawn = shapely.Polygon(ndimage.gaussian_filter1d(points + 7 * wobble, 0.7, axis=0, mode="wrap")).buffer(0)
    return shapely.set_precision(largest(drawn).simplify(2), 0.1)


def readme(landscape: Landscape) -> str:
    """What is in the folder."""
    present = [name.replace("_", " ") for name, code in LAND_COVER.items() if (landscape.landcover == code).any()]
    rows, columns = landscape.labels.shape
    return README.format(
        rows=rows,
        columns=columns,
        resolution=landscape.transform.a,
        crs=landscape.crs.to_string(),
        azimuth=landscape.sun.azimuth,
        elevation=landscape.sun.elevation,
        cell=PERMAFROST_CELL,
        count=len(landscape.rock_glaciers),
        landforms=", ".join(present),
        seed=SEED,
        share=ROCK_GLACIER_SHARE,
    )


if __name__ == "__main__":
    main()
