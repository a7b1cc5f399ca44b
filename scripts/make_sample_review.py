"""Make the sample's review session: ``make_sample_review.py [--sample FOLDER]`` maps the sample with the bundled model and starts a review.

It adds to the sample's folder what the network found (sample_probability.tif, sample_predicted.gpkg) and review/review.gpkg, a session
that nobody has worked in. Its manual outlines are those of the simulation. Paths in it are relative: the folder may be copied anywhere.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pyogrio
import rasterio

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine.cli import run_job  # noqa: E402
from engine.outputs import whole_file  # noqa: E402
from engine.rasters import PASSPORT  # noqa: E402
from engine.reporting import SilentReporter  # noqa: E402
from jobs import DetectJob, Job, PostprocessJob, PrepareJob, StartReviewJob  # noqa: E402
from review_session import PATHS, SETTINGS  # noqa: E402
from scripts.make_sample import MADE, SIMULATED  # noqa: E402

STEPS_OF_PROBABILITY = 512
"""The probability is kept to a 512th, which compresses to an eighth."""
TILE_SIZE = 1500.0
"""Metres: the sample is 6.4 x 5.1 km."""


def main() -> None:
    """Write the session and what it is made of."""
    root = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=Path, default=root / "resources" / "sample", help="folder of the sample")
    sample: Path = parser.parse_args().sample
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": MADE})
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        stack, tiles, probability = (str(made / name) for name in ("sample_stack.tif", "tiles.gpkg", "probability.tif"))
        predicted, restricted = str(made / "predicted.gpkg"), str(made / "restricted.gpkg")
        _run(PrepareJob(str(sample / "sample_scene.tif"), stack))
        _run(DetectJob(stack, tiles, probability=probability, device="cpu"))
        dem, permafrost = str(sample / "sample_dem.tif"), str(sample / "sample_permafrost.tif")
        _run(PostprocessJob(tiles, predicted, probability=probability, dem=dem, permafrost=permafrost, restricted=restricted))
        write_probability(sample / "sample_probability.tif", Path(probability))
        with whole_file(sample / "sample_predicted.gpkg") as place:
            shutil.copyfile(predicted, place)
        session = sample / "review" / "review.gpkg"
        session.parent.mkdir(exist_ok=True)
        session.unlink(missing_ok=True)
        _run(
            StartReviewJob(
                str(sample / "sample_predicted.gpkg"),
                str(session),
                manual=str(sample / "sample_outlines.gpkg"),
                restricted=restricted,
                imagery=str(sample / "sample_scene.tif"),
                probability=str(sample / "sample_probability.tif"),
                dem=dem,
                tile_size=TILE_SIZE,
            )
        )
    forget_this_machine(session)


def _run(job: Job) -> None:
    run_job(job, SilentReporter())


def write_probability(path: Path, source: Path) -> None:
    """The probability raster with its passport, rounded so that it compresses well."""
    with rasterio.open(source) as dataset, whole_file(path) as place:
        values = np.rint(dataset.read() * STEPS_OF_PROBABILITY) / STEPS_OF_PROBABILITY
        with rasterio.open(place, "w", **(dataset.profile | {"compress": "deflate", "zlevel": 9, "predictor": 1})) as written:
            written.write(values.astype(np.float32))
            written.descriptions = dataset.descriptions
            written.update_tags(TIFFTAG_IMAGEDESCRIPTION=f"{SIMULATED}: probability of the bundled model")
            written.update_tags(ns=PASSPORT, **dataset.tags(ns=PASSPORT))


def forget_this_machine(session: Path) -> None:
    """Leave of the session's paths what is relative to it, and of its files no time of change."""
    with closing(sqlite3.connect(session)) as connection:
        with connection:
            for name in PATHS:
                connection.execute(f"UPDATE {SETTINGS} SET value = substr(value, instr(value, '|')) WHERE key = ?", (name,))
            connection.execute(f"DELETE FROM {SETTINGS} WHERE key IN ('predicted_state', 'manual_state')")
        connection.execute("VACUUM")


if __name__ == "__main__":
    main()
