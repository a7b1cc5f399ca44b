"""How often Split outlines parts touching rock glaciers, and how often it cuts a single one: simulated scenes with known truth.

    python benchmarks/benchmark_split.py --folder SCENES [--scenes 14] [--min-score 0.5] [--calibrate]

Each scene is 1024 x 1024 pixels of 10 m with rock glaciers on 8 % of it, a third of which lean on a neighbour. It goes through prepare,
detect (the bundled model) and postprocess; then two kinds of outlines are split, with the probability, the elevation, and both:

model   outlines as postprocess makes them
merged  true outlines, neighbours that touch united to one

Neighbours are apart where they lie with more than half of their area in different units. A cut is judged by the rock glaciers that
lie with a fifth of their area or more in the two units beside it. It is right where it leaves each of them whole (80 % on one
side) and has one on each side; false where it parts one; at the rim where all are on one side, and it cuts off ground without a rock
glacier; empty where there is none. A unit matches a true rock glacier where they share half of their joint area or more.
``--calibrate`` fits the weights of the score on scenes that the figures are not measured on, and prints them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.features import rasterize
from scipy.optimize import minimize
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine import cuts
from engine.cli import run_job
from engine.reporting import SilentReporter
from engine.split import OnOneGrid
from engine.vectors import PolygonLayer, read_polygons, write_polygons
from jobs import DetectJob, PostprocessJob, PrepareJob, SplitJob
from model.simulator import simulate

CALIBRATION_SEED, TEST_SEED = 71_000, 72_000
"""First seeds of the scenes to calibrate on and to measure on; the bundled model saw none of either."""

SIDE, SHARE = 1024, 0.08
KINDS = ("model", "merged")
EVIDENCE = {"probability": (True, False), "elevation": (False, True), "both": (True, True)}
MIN_AREA = SplitJob("", "").min_area
ON_ONE_SIDE = 0.8
PRIOR = 1e-3
"""Of the calibration: how strongly weights are drawn to zero."""


def scene(folder: Path, seed: int) -> Path:
    """Folder of a scene: dem.tif, probability.tif, truth.gpkg, and the outlines model.gpkg and merged.gpkg; made where missing."""
    place = folder / str(seed)
    if (place / "merged.gpkg").exists():
        return place
    place.mkdir(parents=True, exist_ok=True)
    landscape = simulate(seed, SIDE, SIDE, rock_glacier_share=SHARE)
    profile = {"driver": "GTiff", "width": SIDE, "height": SIDE, "crs": landscape.crs, "transform": landscape.transform, "dtype": "float32"}
    for name, bands in (("scene", landscape.reflectance), ("dem", landscape.elevation[None])):
        with rasterio.open(place / f"{name}.tif", "w", **profile, count=len(bands)) as dataset:
            dataset.write(bands)
    true = np.array([rock_glacier.outline for rock_glacier in landscape.rock_glaciers], dtype=object)
    crs = CRS.from_wkt(landscape.crs.to_wkt())
    write_polygons(place / "truth.gpkg", PolygonLayer(true, crs, {"id": np.arange(1, len(true) + 1)}), "outlines")
    paths = {name: str(place / name) for name in ("scene.tif", "stack.tif", "tiles.gpkg", "probability.tif", "model.gpkg")}
    for job in (
        PrepareJob(paths["scene.tif"], paths["stack.tif"], sensor="reflectance"),
        DetectJob(paths["stack.tif"], paths["tiles.gpkg"], probability=paths["probability.tif"], device="cpu"),
        PostprocessJob(paths["tiles.gpkg"], paths["model.gpkg"]),
    ):
        run_job(job, SilentReporter())
    write_polygons(place / "merged.gpkg", PolygonLayer(united_neighbours(true), crs), "outlines")
    return place


def touching(true: NDArray[np.object_]) -> NDArray[np.intp]:
    """Pairs (m, 2) of outlines that touch, within a tenth of a pixel."""
    first, second = shapely.STRtree(true).query(true, predicate="dwithin", distance=1.0)
    return np.column_stack([first, second])[first < second]


def united_neighbours(true: NDArray[np.object_]) -> NDArray[np.object_]:
    """Touching outlines as one; the seam between them, narrower than a tenth of a pixel, is closed."""
    pairs = touching(true)
    count, group = connected_components(coo_array((np.ones(len(pairs)), pairs.T), shape=(len(true), len(true))), directed=False)
    shapes = []
    for label in range(count):
        members = true[group == label]
        union = members[0] if len(members) == 1 else shapely.union_all(shapely.buffer(members, 0.6, join_style="mitre"))
        shapes += [shapely.Polygon(part.exterior) for part in shapely.get_parts(union)]
    return np.array(shapes, dtype=object)


def held(outlines: NDArray[np.object_], true: NDArray[np.object_]) -> list[NDArray[np.intp]]:
    """For each outline the rock glaciers that lie in it with more than half of their area."""
    outline, member = shapely.STRtree(true).query(outlines, predicate="intersects")
    inside = shapely.area(shapely.intersection(outlines[outline], true[member])) > 0.5 * shapely.area(true[member])
    return [member[inside & (outline == index)] for index in range(len(outlines))]


def matches(units: NDArray[np.object_], true: NDArray[np.object_]) -> dict[int, int]:
    """Rock glacier -> the unit that shares half of their joint area or more."""
    unit, member = shapely.STRtree(true).query(units, predicate="intersects")
    shared = shapely.area(shapely.intersection(units[unit], true[member]))
    enough = shared >= 0.5 * (shapely.area(units[unit]) + shapely.area(true[member]) - shared)
    return dict(zip(member[enough].tolist(), unit[enough].tolist(), strict=True))


def verdict(units: NDArray[np.object_], true: NDArray[np.object_]) -> str:
    """What the cut between two units did: right, false, rim or empty."""
    shared = shapely.area(shapely.intersection(units[:, None], true)) / shapely.area(true)
    there = shared.sum(axis=0) > 1 - ON_ONE_SIDE
    on_first = shared[0, there] / shared[:, there].sum(axis=0)
    if not there.any():
        return "empty"
    if ((on_first > 1 - ON_ONE_SIDE) & (on_first < ON_ONE_SIDE)).any():
        return "false"
    return "right" if (on_first > 0.5).any() and (on_first < 0.5).any() else "rim"


def figures(folder: Path, min_score: float, seed: int) -> Counter[tuple[str, str, str]]:
    """Counts of one scene, by kind of outlines and evidence."""
    place = scene(folder, seed)
    true = read_polygons(place / "truth.gpkg").geometries
    tree, counts = shapely.STRtree(true), Counter[tuple[str, str, str]]()
    neighbours = {tuple(pair) for pair in touching(true).tolist()}
    for kind in KINDS:
        outlines = read_polygons(place / f"{kind}.gpkg").geometries
        inside = held(outlines, true)
        pairs = [(a, b) for members in inside for a in members.tolist() for b in members.tolist() if (a, b) in neighbours]
        for evidence, (probability, elevation) in EVIDENCE.items():
            paths = {name: str(place / f"{name}-{kind}-{evidence}.gpkg") for name in ("units", "systems", "cuts")}
            job = SplitJob(
                str(place / f"{kind}.gpkg"),
                paths["units"],
                probability=str(place / "probability.tif") if probability else None,
                dem=str(place / "dem.tif") if elevation else None,
                systems=paths["systems"],
                cuts=paths["cuts"],
                min_score=min_score,
            )
            started = time.perf_counter()
            run_job(job, SilentReporter())
            count = partial(_count, counts, kind, evidence)
            count("seconds", time.perf_counter() - started)
            units = read_polygons(paths["units"])
            systems = read_polygons(paths["systems"])
            split = systems.fields["units"] > 1
            before, after = matches(outlines, true), matches(units.geometries, true)
            count("outlines", len(outlines))
            count("groups", sum(len(members) > 1 for members in inside))
            count("singles", sum(len(members) == 1 for members in inside))
            count("true", len(true))
            count("units", len(units))
            count("matched before", len(before))
            count("matched after", len(after))
            count("pairs", len(pairs))
            where = {member: unit for unit, members in enumerate(held(units.geometries, true)) for member in members.tolist()}
            count("pairs apart", sum(a in where and b in where and where[a] != where[b] for a, b in pairs))
            count("groups split", sum(len(members) > 1 and cut for members, cut in zip(inside, split, strict=True)))
            count("singles split", sum(len(members) == 1 and cut for members, cut in zip(inside, split, strict=True)))
            for line in _made(paths["cuts"]):
                middle = line.interpolate(0.5, normalized=True)
                by = np.argsort(shapely.distance(units.geometries, middle), kind="stable")[:2]
                near = tree.query(shapely.union_all(units.geometries[by]))
                count(f"cuts {verdict(units.geometries[by], true[near])}", 1)
    return counts


def _count(counts: Counter[tuple[str, str, str]], kind: str, evidence: str, what: str, number: float) -> None:
    counts[kind, evidence, what] += number  # type: ignore[assignment] seconds are no whole number


def _made(path: str) -> NDArray[np.object_]:
    import pyogrio  # noqa: PLC0415

    _, _, wkb, values = pyogrio.raw.read(path, columns=["made"])
    return np.asarray(shapely.from_wkb(wkb)[values[0] == 1])


def samples(folder: Path, seed: int) -> list[tuple[str, list[float], bool]]:
    """Candidates of a scene as (evidence, scaled components, whether they part rock glaciers)."""
    place = scene(folder, seed)
    true = read_polygons(place / "truth.gpkg").geometries
    rows = []
    for kind in KINDS:
        layer = read_polygons(place / f"{kind}.gpkg")
        for evidence, (probability, elevation) in EVIDENCE.items():
            names = [name for name in cuts.WEIGHTS[probability, elevation] if name != "intercept"]
            with ExitStack() as opened:
                first = opened.enter_context(rasterio.open(place / "probability.tif")) if probability else None
                second = opened.enter_context(rasterio.open(place / "dem.tif")) if elevation else None
                scale = cuts.SCALE_SHARE * MIN_AREA**0.5
                rasters = OnOneGrid.of(first, second, layer.crs, shapely.total_bounds(layer.geometries), scale, opened)
                for outline, members in zip(layer.geometries, held(layer.geometries, true), strict=True):
                    ground = rasters.around(outline) if len(members) else None
                    if ground is None:
                        continue
                    bodies = [rasterize([true[k]], ground.shape, transform=ground.transform).astype(bool) for k in members]
                    for cut in cuts.candidates(shapely.Polygon(outline.exterior), ground, MIN_AREA):
                        values = [cuts.scaled(name, getattr(cut, name)) for name in names]
                        rows.append((evidence, values, parts_bodies(cut.sides[0], cut.sides[1], bodies)))
    return rows


def parts_bodies(one: NDArray[np.bool_], other: NDArray[np.bool_], bodies: list[NDArray[np.bool_]]) -> bool:
    """Whether each body lies on one side with most of it, and both sides have one."""
    shares = np.array([(body & one).sum() / max(1, (body & (one | other)).sum()) for body in bodies])
    apart = (shares >= ON_ONE_SIDE) | (shares <= 1 - ON_ONE_SIDE)
    return bool(apart.all() and (shares > 0.5).any() and (shares < 0.5).any())


def fitted(values: NDArray[np.float64], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Intercept and weights of a logistic regression with a faint pull to zero."""
    spread = values.std(axis=0)
    inputs = np.column_stack([np.ones(len(values)), values / spread])
    sign = np.where(right, 1.0, -1.0)

    def loss(weights: NDArray[np.float64]) -> float:
        return float(np.logaddexp(0, -sign * (inputs @ weights)).mean() + PRIOR * (weights[1:] ** 2).sum())

    weights = minimize(loss, np.zeros(inputs.shape[1])).x
    return np.append(weights[0], weights[1:] / spread)


def calibrate(rows: list[tuple[str, list[float], bool]]) -> None:
    """Print the weights that engine/cuts.py holds."""
    for evidence, known in EVIDENCE.items():
        chosen = [row for row in rows if row[0] == evidence]
        names = [name for name in cuts.WEIGHTS[known] if name != "intercept"]
        weights = fitted(np.array([row[1] for row in chosen]), np.array([row[2] for row in chosen]))
        told = ", ".join(f'"{name}": {weight:.2f}' for name, weight in zip(["intercept", *names], weights, strict=True))
        print(f"    {known}: {{{told}}},  # {len(chosen)} candidates, {sum(row[2] for row in chosen)} right")


def table(counts: Counter[tuple[str, str, str]]) -> None:
    """Print the figures as Markdown."""
    for kind in KINDS:
        c = {what: counts[kind, "both", what] for what in ("outlines", "groups", "singles", "pairs", "true")}
        print(
            f"\n{kind}: {c['outlines']} outlines, {c['groups']} of them with several rock glaciers ({c['pairs']} touching pairs), "
            f"{c['singles']} with one; {c['true']} rock glaciers in all\n"
        )
        columns = ("evidence", "groups split", "pairs apart", "right / false / rim / empty", "precision", "split F1", "singles split")
        print(f"| {' | '.join((*columns, 'unit F1', 'ms'))} |")
        print("|---" * (len(columns) + 2) + "|")
        for evidence in EVIDENCE:
            n: dict[str, Any] = {key[2]: value for key, value in counts.items() if key[:2] == (kind, evidence)}
            right, false, rim, empty = (n.get(f"cuts {name}", 0) for name in ("right", "false", "rim", "empty"))
            precision, recall = right / max(1, right + false + rim + empty), n["pairs apart"] / n["pairs"]
            f_before, f_after = (
                2 * n[f"matched {when}"] / (n["true"] + number) for when, number in (("before", n["outlines"]), ("after", n["units"]))
            )
            print(
                f"| {evidence} | {n['groups split']} ({100 * n['groups split'] / n['groups']:.0f} %) "
                f"| {n['pairs apart']} ({100 * n['pairs apart'] / n['pairs']:.0f} %) | {right} / {false} / {rim} / {empty} "
                f"| {100 * precision:.0f} % | {2 * precision * recall / max(precision + recall, 1e-9):.2f} "
                f"| {n['singles split']} ({100 * n['singles split'] / n['singles']:.1f} %) "
                f"| {f_before:.3f} -> {f_after:.3f} | {1000 * n['seconds'] / n['outlines']:.0f} |"
            )


def picture(path: Path, folder: Path, seed: int, kind: str, evidence: str) -> None:
    """Some outlines of a scene that was measured: hillshade, true outlines, and the cuts with their scores."""
    import matplotlib.pyplot as plt  # noqa: PLC0415
    import pyogrio  # noqa: PLC0415
    from matplotlib.colors import LightSource  # noqa: PLC0415

    place = scene(folder, seed)
    with rasterio.open(place / "dem.tif") as dem:
        elevation, bounds, cell = dem.read(1), dem.bounds, dem.transform.a
    shade = LightSource(315, 40).hillshade(elevation, vert_exag=1.5, dx=cell, dy=cell)
    true = read_polygons(place / "truth.gpkg").geometries
    units = read_polygons(place / f"units-{kind}-{evidence}.gpkg")
    meta, _, wkb, values = pyogrio.raw.read(place / f"cuts-{kind}-{evidence}.gpkg")
    lines, told = shapely.from_wkb(wkb), dict(zip(meta["fields"], values, strict=True))
    chosen = list(dict.fromkeys(told["system_id"][told["made"] == 1].tolist()))[:6]
    figure, axes = plt.subplots(2, 3, figsize=(9, 6), layout="constrained")
    for axis, system in zip(axes.flat, chosen, strict=False):
        own = units.geometries[units.fields["system_id"] == system]
        left, bottom, right, top = shapely.total_bounds(own)
        middle, half = ((left + right) / 2, (bottom + top) / 2), max(right - left, (top - bottom) * 1.0) / 2 + 60
        axis.imshow(shade, cmap="gray", vmin=0.1, extent=(bounds.left, bounds.right, bounds.bottom, bounds.top))
        for outline in true:
            axis.plot(*outline.exterior.xy, color="#56b4e9", linewidth=1.2)
        for unit in own:
            axis.plot(*unit.exterior.xy, color="#f0e442", linewidth=1.6)
        for line, made, score in zip(lines, told["made"], told["score"], strict=True):
            if line.intersects(shapely.box(*shapely.total_bounds(own))):
                axis.plot(*line.xy, color="#d55e00" if made else "white", linewidth=2.2 if made else 1.4, linestyle="-" if made else ":")
                x, y = shapely.get_coordinates(shapely.line_interpolate_point(line, 0.5, normalized=True))[0]
                axis.annotate(f"{score:.2f}", (x, y), xytext=(6, 0), textcoords="offset points", color="white", weight="bold", fontsize=9)
        axis.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half), xticks=[], yticks=[])
    figure.savefig(path, dpi=80)


def main() -> None:
    """Make the scenes that are missing, split their outlines, print the figures; or calibrate."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--folder", type=Path, required=True, help="for scenes; those that are there are used again")
    arguments.add_argument("--scenes", type=int, default=14)
    arguments.add_argument("--seed", type=int, help="of the first scene")
    arguments.add_argument("--min-score", type=float, default=SplitJob("", "").min_score)
    arguments.add_argument("--processes", type=int, default=2)
    arguments.add_argument("--picture", type=Path, help="draw some merged outlines of the first scene, split with both, to this file")
    arguments.add_argument("--calibrate", action="store_true", help="fit the weights instead")
    options = arguments.parse_args()
    first = options.seed or (CALIBRATION_SEED if options.calibrate else TEST_SEED)
    seeds = range(first, first + options.scenes)
    with ProcessPoolExecutor(options.processes) as pool:
        if options.calibrate:
            calibrate([row for rows in pool.map(partial(samples, options.folder), seeds) for row in rows])
        else:
            counts = Counter[tuple[str, str, str]]()
            for part in pool.map(partial(figures, options.folder, options.min_score), seeds):
                counts.update(part)
            table(counts)
            if options.picture is not None:
                picture(options.picture, options.folder, first, "merged", "both")


if __name__ == "__main__":
    main()
