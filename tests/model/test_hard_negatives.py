"""Rounds of mining: look-alikes are unlearnt, rules stop it, a kill costs nothing, and a person has the last word."""

from __future__ import annotations

import csv
import os
import pkgutil
import signal
import subprocess
import sys
import unittest.mock
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from engine.errors import Cancelled, EngineError
from engine.prepare import spectral_stack
from engine.reporting import SilentReporter
from engine.sample_files import read_samples
from engine.samples import samples
from engine.terminal import summary
from engine.vectors import PolygonLayer, read_polygons, write_polygons
from jobs import STACK_BANDS, ExportNetworkJob, MineHardNegativesJob, SamplesJob, TrainJob
from model.hard_negatives import mine, mine_hard_negatives
from tests.engine.networks import constant, pointwise, write_model
from tests.engine.scenes import PIXEL_10M, UTM45N, write_raster

LEFT, TOP = 600000.0, 3080000.0
UTM = CRS.from_user_input(UTM45N)
ROCK_GLACIERS = [(row, column, 10, 10) for row in (8, 40, 72) for column in (8, 40, 72)]
LOOK_ALIKES = [(6, 120, 16, 16), (40, 150, 20, 16), (74, 196, 16, 16)]
"""As bright as rock glaciers, but for their near infrared, in the right half of the stack, where no sample lies."""


def box(row: float, column: float, rows: float, columns: float) -> shapely.Polygon:
    """Ground in pixels of 10 m."""
    return shapely.box(LEFT + column * 10, TOP - (row + rows) * 10, LEFT + (column + columns) * 10, TOP - row * 10)


def landscape() -> NDArray[np.float32]:
    """(6, 96, 224): the labelled rock glaciers are a pixel wider than the bright ones, so that no network is perfect."""
    random = np.random.default_rng(1)
    pixels = np.full((4, 96, 224), 0.1, np.float32)
    pixels[3] = 0.3
    for row, column, rows, columns in ROCK_GLACIERS + LOOK_ALIKES:
        pixels[0, row : row + rows, column : column + columns] = 0.45
    for row, column, rows, columns in LOOK_ALIKES:
        pixels[3, row : row + rows, column : column + columns] = 0.36
    return spectral_stack((pixels + random.normal(0, 0.01, pixels.shape)).astype(np.float32))


def polygons(path: Path, *shapes: shapely.Polygon, crs: str = UTM45N) -> str:
    layer = PolygonLayer(np.array([*shapes, None], dtype=object)[:-1], UTM).in_crs(crs)
    write_polygons(path, layer, "polygons")
    return str(path)


def prepared(folder: Path) -> MineHardNegativesJob:
    """Samples of the left half of a stack, all of which is to be mined."""
    stack = write_raster(folder / "stack.tif", landscape(), names=STACK_BANDS, nodata=np.nan)
    outlines = polygons(folder / "outlines.gpkg", *(box(row - 1, column - 1, 12, 12) for row, column, _, _ in ROCK_GLACIERS))
    samples(SamplesJob(str(folder / "samples"), (stack,), outlines, size=32, background=0.0), SilentReporter())
    return MineHardNegativesJob(
        str(folder / "samples"), str(folder / "mining"), (stack,), outlines=outlines, margin=20.0, target_iou=0.95, device="cpu"
    )


@pytest.fixture(autouse=True)
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take most of the time; one test looks at them."""
    if request.node.name != "test_what_comes_out":
        monkeypatch.setattr("model.hard_negatives._Mining._draw", lambda *_: None)


@pytest.fixture
def job(tmp_path: Path) -> MineHardNegativesJob:
    return prepared(tmp_path)


def stubborn(job: TrainJob, _reporter: Any) -> None:
    """Marks whatever is bright, round after round."""
    Path(job.output).mkdir()
    write_model(Path(job.model or ""), pointwise())


def no_export(_job: ExportNetworkJob, _reporter: Any) -> None:
    raise AssertionError("nothing is to be exported")


def run(job: MineHardNegativesJob, train: Callable[..., None] = stubborn) -> tuple[dict[str, Any], SilentReporter]:
    reporter = SilentReporter()
    return mine(job, reporter, train, no_export), reporter


def mined_of(job: MineHardNegativesJob) -> list[Any]:
    return [sample for sample in read_samples(Path(job.output) / "samples").samples if sample.made_for == "hard negative"]


def candidates(job: MineHardNegativesJob) -> PolygonLayer:
    return read_polygons(Path(job.output) / "hard_negatives.gpkg")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


class TestRounds:
    def test_look_alikes_are_unlearnt(self, job: MineHardNegativesJob) -> None:
        before = contents(Path(job.samples))
        reporter = SilentReporter()
        result = mine_hard_negatives(replace(job, network="random_forest"), reporter)
        first, second = result["rounds"]
        assert (first["errors"], second["errors"], second["negatives"]) == (3, 0, 3)
        assert second["marked_share"] < first["marked_share"] / 20
        assert second["iou"] == pytest.approx(100 / 144, abs=0.05) == first["iou"]  # the outlines are a pixel wider
        assert result["reason"] == "no_errors" and result["best_round"] == 1
        assert contents(Path(job.samples)) == before
        assert "other_imagery" not in [code for code, _ in reporter.warnings]
        assert any("nobody mapped" in text for text in reporter.infos)
        assert "stopped" in summary("mine_hard_negatives", result)

    def test_what_comes_out(self, job: MineHardNegativesJob) -> None:
        result, _ = run(replace(job, rounds=1))
        folder = Path(job.output)
        with open(folder / "rounds.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [(row["round"], row["negatives"], row["errors"]) for row in rows] == [("0", "0", "3"), ("1", "3", "3")]
        assert set(rows[0]) == {
            *("round", "negatives", "errors", "marked_share", "searched_km2", "iou", "precision", "recall", "threshold")
        }
        assert (folder / "hard_negatives.png").read_bytes().startswith(b"\x89PNG")
        found = candidates(job)
        assert found.fields["use"].tolist() == [1, 1, 1] and set(found.fields["round"].tolist()) == {1}
        areas = {round(area) for area in found.fields["area_m2"].tolist()}
        assert areas == {25600, 32000} and sorted(found.fields["sample"]) == sorted(sample.sample for sample in mined_of(job))
        assert Path(result["best_folder"]) == folder / "round-0" and (Path(result["best_model"]) / "model.onnx").is_file()
        assert all(sample.split == "train" and sample.kind == "negative" and sample.rows == 32 for sample in mined_of(job))

    def test_the_next_network_goes_on_from_the_last(self, job: MineHardNegativesJob) -> None:
        starts = []

        def train(job: TrainJob, reporter: Any) -> None:
            starts.append(job.start)
            stubborn(job, reporter)

        run(replace(job, rounds=2, per_round=1), train)
        assert starts == ["imagenet", *(str(Path(job.output) / f"round-{i}" / "training") for i in (0, 1))]

    def test_it_begins_with_a_model(self, job: MineHardNegativesJob, tmp_path: Path) -> None:
        starts = []

        def train(job: TrainJob, reporter: Any) -> None:
            starts.append(job.start)
            stubborn(job, reporter)

        model = write_model(tmp_path / "own", pointwise())
        result, _ = run(replace(job, rounds=1, model=str(model)), train)
        assert starts == [str(model)] and len(result["rounds"]) == 2

    def test_a_checkpoint_becomes_a_model_first(self, job: MineHardNegativesJob, tmp_path: Path) -> None:
        (tmp_path / "best.ckpt").touch()

        def export(job: ExportNetworkJob, _reporter: Any) -> None:
            assert job.checkpoint == str(tmp_path / "best.ckpt")
            write_model(Path(job.output), pointwise())

        result = mine(replace(job, target_iou=0.1, model=str(tmp_path / "best.ckpt")), SilentReporter(), stubborn, export)
        assert Path(result["best_model"]) == Path(job.output) / "round-0" / "model"


class TestStops:
    def test_at_the_target(self, job: MineHardNegativesJob) -> None:
        result, _ = run(replace(job, target_iou=0.6))
        assert result["reason"] == "target_iou" and len(result["rounds"]) == 1
        assert result["hard_negatives"] is None and not mined_of(job)

    def test_after_the_rounds(self, job: MineHardNegativesJob) -> None:
        result, _ = run(replace(job, rounds=1, per_round=1))
        assert result["reason"] == "rounds" and [row["negatives"] for row in result["rounds"]] == [0, 1]

    def test_without_a_gain(self, job: MineHardNegativesJob) -> None:
        result, _ = run(replace(job, per_round=1))
        assert result["reason"] == "no_gain" and len(result["rounds"]) == 3

    def test_what_was_mined_already_is_trained_on_not_mined_again(self, job: MineHardNegativesJob) -> None:
        result, _ = run(job)
        assert result["reason"] == "no_gain" and [row["negatives"] for row in result["rounds"]] == [0, 3, 0]
        assert len(mined_of(job)) == 3

    def test_without_errors(self, job: MineHardNegativesJob) -> None:
        blind = lambda job, reporter: (Path(job.output).mkdir(), write_model(Path(job.model), constant(0.1)))  # noqa: E731
        result, _ = run(job, blind)
        assert result["reason"] == "no_errors" and result["iou"] == 0.0 and result["contact_sheet"] is None

    def test_more_rounds_go_on(self, job: MineHardNegativesJob) -> None:
        run(replace(job, rounds=1, per_round=1))
        result, _ = run(replace(job, rounds=2, per_round=1, target_iou=0.9))
        assert [row["negatives"] for row in result["rounds"]] == [0, 1, 1]


class TestGround:
    def test_nothing_near_known_rock_glaciers(self, job: MineHardNegativesJob, tmp_path: Path) -> None:
        near = polygons(tmp_path / "near.gpkg", box(40, 168, 20, 4), *(box(r - 1, c - 1, 12, 12) for r, c, _, _ in ROCK_GLACIERS))
        assert run(replace(job, outlines=near, rounds=1))[0]["rounds"][0]["errors"] == 3
        wider = replace(job, outlines=near, margin=200.0, rounds=1, output=str(tmp_path / "wider"))
        result, _ = run(wider)
        assert result["rounds"][0]["errors"] == 2
        zone = box(40, 168, 20, 4).buffer(180)
        found = read_samples(tmp_path / "wider" / "samples")
        for sample in mined_of(wider):
            mask = found.read(sample)[1]
            rows, columns = np.nonzero(mask == 0)
            x, y = sample.x + (columns - 15.5) * 10, sample.y - (rows - 15.5) * 10
            assert len(x) and not shapely.contains_xy(zone, x, y).any()

    def test_without_outlines_rock_glaciers_are_errors(self, job: MineHardNegativesJob) -> None:
        result, _ = run(replace(job, outlines=None, min_area=5000.0, rounds=1))
        validation = sum(sample.rock_glacier > 0 for sample in read_samples(job.samples).of_split("validation"))
        assert result["rounds"][0]["errors"] == 3 + len(ROCK_GLACIERS) - validation

    def test_never_on_validation_ground(self, job: MineHardNegativesJob) -> None:
        run(replace(job, outlines=None, min_area=0.0, rounds=2, per_round=99))
        found = read_samples(Path(job.output) / "samples")
        boxes = {
            name: [shapely.box(s.x - 160, s.y - 160, s.x + 160, s.y + 160) for s in chosen]
            for name, chosen in (("validation", found.of_split("validation")), ("mined", mined_of(job)))
        }
        assert boxes["validation"] and len(boxes["mined"]) > 5
        assert shapely.intersection(shapely.union_all(boxes["validation"]), shapely.union_all(boxes["mined"])).area == 0

    @pytest.mark.parametrize("crs", [UTM45N, "EPSG:4326"])
    def test_only_within_areas(self, job: MineHardNegativesJob, tmp_path: Path, crs: str) -> None:
        areas = polygons(tmp_path / "areas.gpkg", box(0, 140, 96, 40), crs=crs)
        result, _ = run(replace(job, areas=areas, rounds=1))
        assert [row["errors"] for row in result["rounds"]] == [1, 1]
        (sample,) = mined_of(job)
        assert sample.unknown == 0.0 or sample.unknown < 0.2
        assert result["rounds"][0]["searched_km2"] == pytest.approx(0.0001 * 96 * 40, rel=0.02)

    def test_bands_that_no_sample_shows_stay_unobserved(self, job: MineHardNegativesJob, tmp_path: Path) -> None:
        pixels = landscape()
        pixels[3:] = np.nan
        colours = write_raster(tmp_path / "colours.tif", pixels, names=STACK_BANDS, nodata=np.nan)
        samples(SamplesJob(str(tmp_path / "rgb"), (colours,), job.outlines, size=32, background=0.0), SilentReporter())
        _, reporter = run(replace(job, samples=str(tmp_path / "rgb"), rounds=1))
        found = read_samples(Path(job.output) / "samples")
        assert np.isnan(found.read(mined_of(job)[0])[0][3:]).all()
        assert any("nir, evi, savi" in text for text in reporter.infos)
        assert [code for code, _ in reporter.warnings] == ["other_imagery"]

    def test_a_stack_of_another_resolution_comes_to_that_of_the_samples(self, job: MineHardNegativesJob, tmp_path: Path) -> None:
        coarse = landscape().reshape(6, 48, 2, 112, 2).mean(axis=(2, 4)).astype(np.float32)
        path = write_raster(tmp_path / "coarse.tif", coarse, names=STACK_BANDS, transform=PIXEL_10M @ Affine.scale(2), nodata=np.nan)
        run(replace(job, stacks=(*job.stacks, path), rounds=1))
        assert {(sample.rows, sample.columns, sample.pixel_size_m) for sample in mined_of(job)} == {(32, 32, 10.0)}


class TestAPersonStrikesOut:
    def edited(self, job: MineHardNegativesJob, sizes: dict[int, int]) -> None:
        """Set the field ``use`` of candidates by their area."""
        found = candidates(job)
        use = [sizes.get(round(area), int(before)) for area, before in zip(found.fields["area_m2"], found.fields["use"], strict=True)]
        layer = PolygonLayer(found.geometries, found.crs, {**found.fields, "use": np.array(use)})
        write_polygons(Path(job.output) / "hard_negatives.gpkg", layer, "hard_negatives")

    def test_what_is_struck_out_is_mined_no_more(self, job: MineHardNegativesJob) -> None:
        job = replace(job, rounds=1)
        run(job)
        self.edited(job, {32000: 0})
        trained = []
        result, reporter = run(job, lambda training, told: (trained.append(training.output), stubborn(training, told)))
        assert [Path(path).parent.name for path in trained] == ["round-1"]
        assert result["struck_out"] == 1 and [row["errors"] for row in result["rounds"]] == [2, 2]
        assert len(mined_of(job)) == 2 and any("struck out" in text for text in reporter.infos)
        found = candidates(job)
        assert dict(zip(found.fields["area_m2"].round().tolist(), found.fields["use"].tolist(), strict=True)) == {25600: 1, 32000: 0}
        assert len(list((Path(job.output) / "samples" / "masks").iterdir())) == len(read_samples(Path(job.output) / "samples").samples)

    def test_and_mined_again_when_taken_back(self, job: MineHardNegativesJob) -> None:
        job = replace(job, rounds=1)
        run(job)
        before = [(sample.x, sample.y) for sample in mined_of(job)]
        self.edited(job, {32000: 0})
        run(job)
        self.edited(job, {32000: 1})
        result, _ = run(job)
        assert result["struck_out"] == 0 and [(sample.x, sample.y) for sample in mined_of(job)] == before

    def test_its_ground_is_unknown_in_other_samples(self, job: MineHardNegativesJob) -> None:
        job = replace(job, rounds=1, min_area=0.0)
        pixels = landscape()
        pixels[0, 10:16, 138:142] = 0.45  # beside the first look-alike
        write_raster(Path(job.stacks[0]), pixels, names=STACK_BANDS, nodata=np.nan)
        run(job)
        self.edited(job, {2400: 0})
        run(job)
        found = read_samples(Path(job.output) / "samples")
        known = candidates(job)
        (struck,) = known.geometries[known.fields["use"] == 0]
        unknown = [sample for sample in mined_of(job) if sample.unknown]
        assert len(unknown) == 1
        rows, columns = np.nonzero(found.read(unknown[0])[1] == 255)
        x, y = unknown[0].x + (columns - 15.5) * 10, unknown[0].y - (rows - 15.5) * 10
        assert shapely.contains_xy(struck.buffer(job.margin), x, y).all() and shapely.contains_xy(struck, x, y).any()

    def test_rounds_that_learnt_its_ground_before_are_done_again(self, job: MineHardNegativesJob) -> None:
        job = replace(job, rounds=2, per_round=1)
        pixels = landscape()
        pixels[0, 40:60, 130:210] = 0.45  # three windows wide: a part of it is mined in each round
        write_raster(Path(job.stacks[0]), pixels, names=STACK_BANDS, nodata=np.nan)
        run(job)
        found = candidates(job)
        use = np.where(found.fields["round"] == 2, 0, 1)
        layer = PolygonLayer(found.geometries, found.crs, {**found.fields, "use": use})
        write_polygons(Path(job.output) / "hard_negatives.gpkg", layer, "hard_negatives")
        trained = []
        run(job, lambda training, told: (trained.append(training.output), stubborn(training, told)))
        assert [Path(path).parent.name for path in trained] == ["round-1", "round-2"]

    def test_unchanged_nothing_is_done_again(self, job: MineHardNegativesJob) -> None:
        job = replace(job, rounds=1)
        before, _ = run(job)
        never = lambda training, told: pytest.fail("trained again")  # noqa: E731
        assert run(job, never)[0] == before

    def test_a_file_without_its_fields_is_told(self, job: MineHardNegativesJob) -> None:
        run(replace(job, rounds=1))
        found = candidates(job)
        write_polygons(Path(job.output) / "hard_negatives.gpkg", PolygonLayer(found.geometries, found.crs), "hard_negatives")
        with pytest.raises(EngineError) as raised:
            run(replace(job, rounds=1))
        assert raised.value.code == "candidates"


POINTS = {
    "in the first training": ("tests.model.test_hard_negatives.write_model", 1),
    "in the second training": ("tests.model.test_hard_negatives.write_model", 2),
    "in the evaluation": ("model.hard_negatives.evaluate", 1),
    "in the search": ("model.hard_negatives.find_errors", 1),
    "while negatives are cut": ("engine.hard_negatives.write_sample", 2),
    "before the tables are written": ("model.hard_negatives.write_grown_tables", 1),
    "after the tables are written": ("model.hard_negatives._Mining._show", 1),
    "while the samples are copied": ("engine.hard_negatives.shutil.copyfile", 3),
}


def killed_at(place: str, call: int, folder: Path) -> None:
    """Runs in a process of its own, which ends as with kill -9 at a call of a function."""
    module, name = place.rsplit(".", 1)
    owner: Any = pkgutil.resolve_name(module)
    real, calls = getattr(owner, name), []

    def deadly(*arguments: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **more)

    with unittest.mock.patch(place, deadly):
        run(job_in(folder))


def job_in(folder: Path) -> MineHardNegativesJob:
    return MineHardNegativesJob(
        *(str(folder / "samples"), str(folder / "mining"), (str(folder / "stack.tif"),)),
        outlines=str(folder / "outlines.gpkg"),
        margin=20.0,
        target_iou=0.95,
        rounds=1,
        device="cpu",
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[Any], list[Any]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    prepared(folder)
    return *(run(job_in(folder))[0][name] for name in ("rounds",)), *told(folder)


def told(folder: Path) -> tuple[list[Any], list[Any]]:
    job = job_in(folder)
    fields = candidates(job).fields
    rows = [(sample.sample, sample.x, sample.y, sample.unknown) for sample in mined_of(job)]
    return rows, list(zip(*(fields[name].tolist() for name in ("candidate", "sample", "area_m2", "use")), strict=True))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
@pytest.mark.parametrize("point", POINTS)
def test_after_a_kill_it_goes_on(point: str, tmp_path: Path, undisturbed: Any) -> None:
    prepared(tmp_path)
    place, call = POINTS[point]
    script = f"from tests.model.test_hard_negatives import *; killed_at({place!r}, {call}, Path({str(tmp_path)!r}))"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    result, _ = run(job_in(tmp_path), eager)
    assert (result["rounds"], *told(tmp_path)) == undisturbed
    assert not list((tmp_path / "mining").rglob(".*"))


def eager(job: TrainJob, reporter: Any) -> None:
    """As :func:`stubborn`, where a folder of the training may be there already: a training goes on by itself."""
    Path(job.output).mkdir(exist_ok=True)
    write_model(Path(job.model or ""), pointwise())


class TestBadInput:
    @pytest.mark.parametrize("shapes", [[], [box(9000, 9000, 10, 10)]], ids=["empty", "outside"])
    def test_areas_that_hold_nothing(self, job: MineHardNegativesJob, tmp_path: Path, shapes: list[shapely.Polygon]) -> None:
        areas = polygons(tmp_path / "areas.gpkg", *shapes)
        with pytest.raises(EngineError) as raised:
            run(replace(job, areas=areas))
        assert raised.value.code == ("areas_outside" if shapes else "areas_empty")
        assert not Path(job.output).exists()

    def test_a_margin_that_leaves_nothing(self, job: MineHardNegativesJob) -> None:
        with pytest.raises(EngineError) as raised:
            run(replace(job, margin=1e5))
        assert raised.value.code == "nothing_to_search"

    def test_areas_where_nothing_is_observed(self, job: MineHardNegativesJob, tmp_path: Path) -> None:
        pixels = landscape()
        pixels[:, :, 110:] = np.nan
        write_raster(Path(job.stacks[0]), pixels, names=STACK_BANDS, nodata=np.nan)
        with pytest.raises(EngineError) as raised:
            run(replace(job, areas=polygons(tmp_path / "areas.gpkg", box(0, 112, 96, 100))))
        assert raised.value.code == "nothing_to_search"

    def test_a_model_that_sees_no_rock_glacier_for_validation(self, job: MineHardNegativesJob) -> None:
        pixels = landscape()
        for row, column, _, _ in ROCK_GLACIERS:
            pixels[3, row - 1 : row + 11, column - 1 : column + 11] = np.nan
        write_raster(Path(job.stacks[0]), pixels, names=STACK_BANDS, nodata=np.nan)
        samples(SamplesJob(job.samples, job.stacks, job.outlines, size=32, background=0.0), SilentReporter())
        needs = lambda job, reporter: (Path(job.output).mkdir(), write_model(Path(job.model), constant(0.1), nir="required"))  # noqa: E731
        with pytest.raises(EngineError) as raised:
            run(job, needs)
        assert raised.value.code == "no_validation"

    def test_samples_without_validation(self, job: MineHardNegativesJob, tmp_path: Path) -> None:
        lone = SamplesJob(str(tmp_path / "lone"), job.stacks, job.outlines, size=32, background=0.0, validation_share=0.0)
        samples(lone, SilentReporter())
        with pytest.raises(EngineError) as raised:
            run(replace(job, samples=lone.output))
        assert raised.value.code == "no_validation"

    def test_another_job_in_the_folder(self, job: MineHardNegativesJob) -> None:
        run(replace(job, rounds=1))
        with pytest.raises(EngineError, match="margin") as raised:
            run(replace(job, margin=50.0))
        assert raised.value.code == "other_mining"

    def test_other_samples_of_the_same_name(self, job: MineHardNegativesJob, tmp_path: Path) -> None:
        run(replace(job, rounds=1))
        samples(SamplesJob(job.samples, job.stacks, job.outlines, size=32, background=0.5), SilentReporter())
        with pytest.raises(EngineError, match="samples") as raised:
            run(job)
        assert raised.value.code == "other_mining"

    def test_a_folder_with_something_else(self, job: MineHardNegativesJob) -> None:
        (Path(job.output) / "samples").mkdir(parents=True)
        with pytest.raises(EngineError) as raised:
            run(job)
        assert raised.value.code == "output_folder"

    def test_a_model_that_is_not_there(self, job: MineHardNegativesJob) -> None:
        with pytest.raises(EngineError) as raised:
            run(replace(job, model="nowhere"))
        assert raised.value.code == "model_missing"

    def test_cancelled_it_can_go_on(self, job: MineHardNegativesJob) -> None:
        with pytest.raises(Cancelled):
            mine(job, SilentReporter(cancel_after=2), stubborn, no_export)
        assert run(replace(job, rounds=1), eager)[0]["reason"] == "rounds"

    def test_chips_have_no_place(self, job: MineHardNegativesJob, tmp_path: Path) -> None:
        for index in range(6):
            for kind, pixels in (("images", np.full((3, 32, 32), 40, np.uint8)), ("masks", np.zeros((1, 32, 32), np.uint8))):
                pixels[0, 8:20, 8:20] = 250 if kind == "images" else 1
                (tmp_path / kind).mkdir(exist_ok=True)
                with rasterio.open(
                    tmp_path / kind / f"{index}.png", "w", driver="PNG", count=len(pixels), height=32, width=32, dtype="uint8"
                ) as file:
                    file.write(pixels)
        chips = SamplesJob(str(tmp_path / "chips"), images=str(tmp_path / "images"), masks=str(tmp_path / "masks"))
        samples(chips, SilentReporter())
        _, reporter = run(replace(job, samples=chips.output, rounds=1, target_iou=1.0))
        assert {code for code, _ in reporter.warnings} >= {"validation_without_place", "other_imagery"}
        assert {(sample.rows, sample.pixel_size_m) for sample in mined_of(job)} <= {(32, 10.0)}
