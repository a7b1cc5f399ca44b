"""How long an assessment takes, and whether it finds what is there: two made-up inventories of known truth.

    python benchmarks/benchmark_assess.py [--outlines 44000] [--report] [--profile]

Reference outlines as large as those of the Tibetan plateau's inventories (0.14 km2 on average, 60 to 150 vertices), in longitude
and latitude over five UTM zones, most alone, some touching a neighbour. The predicted ones are the same with a boundary of their own:
one in sixteen is missed, as many are false, touching neighbours are mapped as one, one in fifty falls into two. The engine's own
command assesses them, in a process of its own: reading, all figures, the layer and the table of correspondences, JSON, and with
--report the report with its figures.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.assess import assess
from engine.reporting import SilentReporter
from engine.vectors import PolygonLayer, write_polygons
from jobs import AssessJob

CELL_M = 4000.0
NEIGHBOURS, MISSED, FALSE, SPLIT = 0.08, 1 / 16, 1 / 16, 0.02
SOUTH, WEST, DEGREE_M = 30.0, 76.0, 111_000.0


def shape(rng: np.random.Generator, radius: float) -> NDArray[np.float64]:
    """Vertices (60-150, 2) in metres of a lobate outline around 0, 0."""
    turn = np.linspace(0, 2 * np.pi, rng.integers(60, 151), endpoint=False)
    lobes = np.arange(2, 9)
    waves = rng.normal(0, 0.2, 7) / lobes * 2
    away = np.clip(1 + waves @ np.cos(np.outer(lobes, turn) + rng.uniform(0, 6, 7)[:, None]), 0.4, 1.9)
    narrow = rng.uniform(0.6, 1)
    return radius * away[:, None] * np.column_stack([np.cos(turn) * narrow, np.sin(turn) / narrow])


def drawn_again(rng: np.random.Generator, outline: shapely.Polygon) -> shapely.Polygon:
    """The outline as somebody else draws it: shifted by some metres, with bends and a size of its own."""
    waves, phases = rng.uniform(40, 160, 2), rng.uniform(0, 6, 2)
    shift, size = rng.normal(0, 5, 2), rng.normal(1.0, 0.03)
    middle = np.array(outline.centroid.coords[0])

    def moved(places: NDArray[np.float64]) -> NDArray[np.float64]:
        bends = 8 * np.sin(places[:, ::-1] / waves + phases)
        return middle + (places - middle) * size + shift + bends

    again = shapely.make_valid(shapely.transform(outline, moved))
    return max(shapely.get_parts(again), key=shapely.area)


def inventories(count: int, rng: np.random.Generator) -> tuple[NDArray[np.object_], NDArray[np.object_], dict[str, int]]:
    """Reference and predicted outlines in degrees, and how many correspondences of each kind there are."""
    columns = int(round(2_600_000 / CELL_M))
    reference, predicted = [], []
    truth = dict.fromkeys(("1-1", "n-1", "1-n", "n-m", "missed", "false"), 0)

    def in_degrees(polygon: shapely.Polygon, cell: int) -> shapely.Polygon:
        row, column = divmod(cell, columns)
        latitude = SOUTH + row * CELL_M / DEGREE_M
        scale = np.array([DEGREE_M * np.cos(np.radians(latitude)), DEGREE_M])
        corner = np.array([WEST + column * CELL_M / (DEGREE_M * np.cos(np.radians(SOUTH + 4))), latitude])
        return shapely.transform(polygon, lambda places: np.round(corner + places / scale, 8))

    cell = 0
    while len(reference) < count:
        cell += 1
        radius = np.sqrt(np.clip(0.14e6 * rng.lognormal(-0.4, 0.9), 1e4, 2e6) / np.pi)
        outline = shapely.Polygon(shape(rng, radius))
        if not outline.is_valid:
            continue
        if rng.random() < FALSE:
            predicted.append(in_degrees(outline, cell))
            truth["false"] += 1
            continue
        again, kind = drawn_again(rng, outline), "1-1"
        beside = shapely.Polygon(shape(rng, radius) + [1.6 * radius, 0])
        chance = rng.random()
        if chance < NEIGHBOURS / 2 and beside.is_valid and outline.intersects(beside):
            rest = max(shapely.get_parts(beside.difference(outline)), key=shapely.area)
            if rest.area > 0.3 * beside.area:
                again, kind = drawn_again(rng, outline.union(rest)), "n-1"
                reference.append(in_degrees(rest, cell))
        elif chance > 1 - SPLIT:
            x, y = again.centroid.coords[0]
            halves = [
                again.intersection(shapely.box(x - 9e3, y + 5, x + 9e3, y + 9e3)),
                again.intersection(shapely.box(x - 9e3, y - 9e3, x + 9e3, y - 5)),
            ]
            if all(half.geom_type == "Polygon" for half in halves):
                predicted.append(in_degrees(halves[0], cell))
                again, kind = halves[1], "1-n"
        elif chance > 1 - SPLIT - MISSED:
            kind = "missed"
        truth[kind] += 1
        reference.append(in_degrees(outline, cell))
        if kind != "missed":
            predicted.append(in_degrees(again, cell))
    return np.array(reference, dtype=object), np.array(predicted, dtype=object), truth


def main() -> None:
    """Make the inventories, assess them, print what was there, what was found and how long it took."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--outlines", type=int, default=44_000)
    arguments.add_argument("--report", action="store_true", help="write the report and its figures too")
    arguments.add_argument("--profile", action="store_true", help="run in this process and print where the time of its main thread goes")
    options = arguments.parse_args()
    reference, predicted, truth = inventories(options.outlines, np.random.default_rng(1))
    crs = CRS.from_epsg(4326)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for side, outlines in (("predicted", predicted), ("reference", reference)):
            layer = PolygonLayer(outlines, crs, {"id": np.arange(1, len(outlines) + 1)})
            write_polygons(folder / f"{side}.gpkg", layer, side)
        outputs = {"output": "correspondences.gpkg", "table": "table.csv", "json": "accuracy.json"}
        if options.report:
            outputs |= {"report": "report.html", "figures": "figures"}
        places = {name: str(folder / file) for name, file in outputs.items()}
        started = time.perf_counter()
        if options.profile:
            job = AssessJob(str(folder / "predicted.gpkg"), str(folder / "reference.gpkg"), **places)
            profile = cProfile.Profile()
            profile.runcall(assess, job, SilentReporter())
            pstats.Stats(profile).sort_stats("cumtime").print_stats(45)
            usage = resource.getrusage(resource.RUSAGE_SELF)
        else:
            command = [
                sys.executable,
                str(Path(__file__).resolve().parents[1] / "engine"),
                "assess",
                str(folder / "predicted.gpkg"),
                str(folder / "reference.gpkg"),
            ]
            subprocess.run([*command, *(part for name, place in places.items() for part in (f"--{name}", place))], check=True)
            usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = time.perf_counter() - started
        numbers = json.loads((folder / "accuracy.json").read_text())
    vertices = [shapely.get_num_coordinates(outlines).mean() for outlines in (reference, predicted)]
    print(f"{len(predicted)} predicted against {len(reference)} reference outlines, {vertices[0]:.0f} and {vertices[1]:.0f} vertices each")
    print(f"{seconds:.1f} s, {usage.ru_utime + usage.ru_stime:.1f} s of one core, largest memory {usage.ru_maxrss / 1e6:.2f} GB")
    found = numbers["correspondences"]["by_kind"]
    for kind, there in truth.items():
        print(f"  {kind:<8}{there:>8} there{found[kind]['components']:>8} found")


if __name__ == "__main__":
    main()
