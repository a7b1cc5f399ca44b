"""How long the attributes of an inventory take, and how much memory: a made-up elevation model and outlines as large as real ones.

    python benchmarks/benchmark_attributes.py [--outlines 44000] [--side 20000] [--without-radiation] [--folder FOLDER]

The elevation model has cells of 30 m and mountains on all scales (fractal noise, slopes of 20 to 25 degrees on average), as a tiled
float32 GeoTIFF. Areas of the outlines are log-normal with a mean of 0.14 km2 and none below 0.022 km2, as in Lin et al. (2024);
their forms are ellipses of one to five with wavy sides. A raster of 1 km cells stands for the air temperature.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.windows import Window

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.usage import wait
from engine.radiation import SEARCH_M
from engine.vectors import PolygonLayer, read_polygons, write_polygons

ROOT = Path(__file__).resolve().parents[1]
CELL, PIECE = 30.0, 2000
LEFT, TOP = 200_000.0, 4_400_000.0
MEAN_KM2, LEAST_KM2, SPREAD = 0.14, 0.022, 0.8
VERTICES = 80
CRS_METRES = "EPSG:32645"


def mountains(rng: np.random.Generator) -> NDArray[np.float32]:
    """(PIECE, PIECE) metres, noise whose spectrum falls with the wave number; its edges fit to each other."""
    wave = np.hypot(np.fft.fftfreq(PIECE)[:, None], np.fft.rfftfreq(PIECE)[None])
    wave[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.normal(size=(PIECE, PIECE)).astype(np.float32)) / np.maximum(wave, 3 / PIECE) ** 2.2
    height = np.fft.irfft2(spectrum, s=(PIECE, PIECE))
    slope = np.degrees(np.arctan(np.hypot(*np.gradient(height, CELL)))).mean()
    for _ in range(20):
        height *= np.tan(np.radians(22)) / np.tan(np.radians(slope))
        slope = np.degrees(np.arctan(np.hypot(*np.gradient(height, CELL)))).mean()
    return (4500 + height - height.mean()).astype(np.float32)


def write_dem(path: Path, side: int, rng: np.random.Generator) -> None:
    piece = mountains(rng)
    with rasterio.open(
        path, "w", driver="GTiff", crs=CRS_METRES, transform=Affine(CELL, 0, LEFT, 0, -CELL, TOP), width=side, height=side, count=1,
        dtype="float32", tiled=True, blockxsize=512, blockysize=512, compress="lzw", BIGTIFF="YES", nodata=-9999,
    ) as dataset:  # fmt: skip
        for row in range(0, side, PIECE):
            for column in range(0, side, PIECE):
                rows, columns = min(PIECE, side - row), min(PIECE, side - column)
                dataset.write(piece[:rows, :columns], 1, window=Window(column, row, columns, rows))


def write_temperature(path: Path, side: int, rng: np.random.Generator) -> None:
    cells = int(side * CELL / 1000) + 1
    values = rng.normal(-4, 3, (cells, cells)).astype(np.float32)
    with rasterio.open(
        path, "w", driver="GTiff", crs=CRS_METRES, transform=Affine(1000, 0, LEFT, 0, -1000, TOP), width=cells, height=cells, count=1,
        dtype="float32",
    ) as dataset:  # fmt: skip
        dataset.write(values, 1)


def make_outlines(count: int, side: int, rng: np.random.Generator) -> PolygonLayer:
    area = rng.lognormal(np.log(MEAN_KM2 - LEAST_KM2) - SPREAD**2 / 2, SPREAD, count) + LEAST_KM2
    stretch, turn = np.sqrt(rng.uniform(1, 5, count)), rng.uniform(0, 2 * np.pi, count)
    angle = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    wave = 1 + 0.1 * np.sin(rng.integers(2, 7, (count, 1)) * angle + turn[:, None]) + rng.normal(0, 0.02, (count, VERTICES))
    radius = np.sqrt(area / np.pi)[:, None] * 1000 * wave
    along, across = radius * np.cos(angle) * stretch[:, None], radius * np.sin(angle) / stretch[:, None]
    middle = rng.uniform(3000, side * CELL - 3000, (count, 2))
    x = LEFT + middle[:, :1] + along * np.cos(turn)[:, None] - across * np.sin(turn)[:, None]
    y = TOP - middle[:, 1:] + along * np.sin(turn)[:, None] + across * np.cos(turn)[:, None]
    return PolygonLayer(shapely.polygons(np.stack([x, y], axis=2)), CRS.from_user_input(CRS_METRES), {"id": np.arange(count)})


def run(folder: Path, months: str) -> None:
    """The command as a person types it, in a process of its own."""
    command = [sys.executable, "-m", "engine", "attributes", str(folder / "outlines.gpkg"), str(folder / "attributes.gpkg"), "--json"]
    command += ["--dem", str(folder / "dem.tif"), "--raster", f"maat={folder / 'maat.tif'}|made up|", "--solar-months", months]
    times = [time.monotonic()]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as engine:
        for line in engine.stdout or ():
            times.append(time.monotonic())
            last = json.loads(line)
        _, usage = wait(engine)
    print(
        f"{f'with radiation {months}' if months else 'without radiation'}: {times[-1] - times[0]:.1f} s, "
        f"{usage.ru_utime + usage.ru_stime:.1f} s of CPU, at most {np.diff(times).max():.2f} s between signs of life, "
        f"peak memory {usage.ru_maxrss / 1e6:.2f} GB; {last['result']['with_terrain']} of {last['result']['count']} outlines with terrain",
        flush=True,
    )


def make(folder: Path, side: int, count: int) -> None:
    rng = np.random.default_rng(7)
    write_dem(folder / "dem.tif", side, rng)
    write_temperature(folder / "maat.tif", side, rng)
    write_polygons(folder / "outlines.gpkg", make_outlines(count, side, rng), "outlines")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outlines", type=int, default=44_000)
    parser.add_argument("--side", type=int, default=20_000, help="of the elevation model, in cells")
    parser.add_argument("--without-radiation", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the inputs are made, or were made before; a temporary one when not given")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not (folder / "outlines.gpkg").exists():
            # in a process of its own: a child's largest memory begins with that of its parent
            making = multiprocessing.get_context("spawn").Process(target=make, args=(folder, options.side, options.outlines))
            making.start()
            making.join()
            if making.exitcode:
                sys.exit("The inputs could not be made.")
        area = read_polygons(folder / "outlines.gpkg").geometries
        km2 = shapely.area(area) / 1e6
        megabytes = (folder / "dem.tif").stat().st_size / 1e6
        print(
            f"{len(km2)} outlines of {km2.mean():.3f} km2 ({km2.min():.3f} to {km2.max():.2f}), elevation model of {megabytes:.0f} MB",
            flush=True,
        )
        run(folder, "")
        if not options.without_radiation:
            print(f"the horizon is looked for within {SEARCH_M / 1000:.0f} km")
            run(folder, "1-12")


if __name__ == "__main__":
    main()
