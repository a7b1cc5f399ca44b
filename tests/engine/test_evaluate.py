"""Figures of a model on samples and chips: answers known by construction."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from engine.errors import Cancelled, EngineError
from engine.evaluate import evaluate
from engine.probability_accuracy import Tally, best, calibration, figures, mean_of, sweep, sweep_thresholds
from engine.rasters import Grid
from engine.reporting import SilentReporter
from engine.sample_chips import nominal_stack
from engine.sample_files import UNKNOWN, write_sample
from engine.terminal import summary
from jobs import STACK_BANDS, EvaluateNetworkJob
from tests.engine.networks import BACKGROUND, OBJECT, TILE, constant, convolutions, pointwise, write_model

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

BRIGHT = 255
"""Red of a chip that the network of these tests gives probability (0.3558 - 0.2) x 4 = 0.6232; 0 where red is 0."""
MARKED = (0.3558 - 0.2) * 4


def picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """(bands, rows, cols) as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", driver="PNG", count=len(pixels), height=pixels.shape[1], width=pixels.shape[2], dtype="uint8") as file:
        file.write(pixels)


def chip(folder: Path, name: str, bright: NDArray[np.bool_], mask: NDArray[np.bool_] | None = None) -> None:
    colours = np.full((3, *bright.shape), 90, np.uint8)
    colours[0] = np.where(bright, BRIGHT, 0)
    picture(folder / ("images" if mask is not None else "negatives") / f"{name}.png", colours)
    if mask is not None:
        picture(folder / "masks" / f"{name}.png", mask[None].astype(np.uint8))


def area(shape: tuple[int, int], *parts: tuple[slice, slice]) -> NDArray[np.bool_]:
    found = np.zeros(shape, bool)
    for part in parts:
        found[part] = True
    return found


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(write_model(tmp_path / "model", pointwise()))


@pytest.fixture
def job(tmp_path: Path, model: str) -> EvaluateNetworkJob:
    """Three chips of two regions, one larger than a tile, and two without rock glaciers.

    a: 100 TP, 50 FP, 100 FN, 150 TN; b: 400 TP of 2400; c: nothing found of 40; n: 16 marked of 256; m: nothing marked of 256.
    """
    chip(tmp_path, "a", area((20, 20), np.s_[:5, :], np.s_[10:15, :10]), area((20, 20), np.s_[:10, :]))
    chip(tmp_path, "b", area((40, 60), np.s_[10:30, 25:45]), area((40, 60), np.s_[10:30, 25:45]))
    chip(tmp_path, "c", area((16, 16)), area((16, 16), np.s_[:4, :10]))
    chip(tmp_path, "n", area((16, 16), np.s_[:4, :4]))
    chip(tmp_path, "m", area((16, 16)))
    (tmp_path / "chips.csv").write_text("chip,region,snow\na,north,0.0\nb,north,0.5\nc,south,0.05\n")
    folders = {name: str(tmp_path / name) for name in ("images", "masks", "negatives")}
    return EvaluateNetworkJob(model=model, device="cpu", **folders)


def run(job: EvaluateNetworkJob) -> tuple[dict[str, Any], list[str]]:
    reporter = SilentReporter()
    return evaluate(job, reporter), [code for code, _ in reporter.warnings]


def test_pixels_are_counted_by_hand(job: EvaluateNetworkJob) -> None:
    found, warnings = run(job)
    assert found["pixels"]["confusion"] == {"tp": 500, "fp": 66, "fn": 140, "tn": 150 + 2000 + 216 + 240 + 256}
    assert found["pixels"]["rock_glacier"]["iou"] == pytest.approx(500 / 706)
    assert found["pixels"]["overall"]["accuracy"] == pytest.approx((500 + 2862) / 3568)
    assert found["samples"] == {"all": 5, "positive": 3, "negative": 2}
    assert found["subsets"]["positive"]["confusion"] == {"tp": 500, "fp": 50, "fn": 140, "tn": 2366}
    assert found["negatives"] == {"samples": 2, "marked_share": 16 / 512, "samples_marked": 1}
    assert (found["threshold"], found["settings"]["bands_absent"], warnings) == (0.5, ["nir", "evi", "savi"], [])


def test_regions_and_low_snow_have_figures_of_their_own(job: EvaluateNetworkJob) -> None:
    found, _ = run(job)
    region = found["groups"]["region"]
    assert set(found["groups"]) == {"region"}
    assert region["of"]["north"]["rock_glacier"]["iou"] == pytest.approx(500 / 650)
    assert region["of"]["south"]["rock_glacier"]["iou"] == 0.0
    assert region["mean"]["rock_glacier"]["iou"] == pytest.approx(250 / 650)
    assert found["subsets"]["low_snow"]["samples"] == 2
    assert region["low_snow"]["of"]["north"]["rock_glacier"]["iou"] == pytest.approx(100 / 250)
    assert region["low_snow"]["mean"]["rock_glacier"]["iou"] == pytest.approx(50 / 250)
    # precision of the south is not defined, nothing was marked there
    assert region["low_snow"]["mean"]["rock_glacier"]["precision"] == pytest.approx(100 / 150)
    everything, _ = run(replace(job, low_snow=1.0))
    assert everything["subsets"]["low_snow"]["samples"] == 3


def test_groups_without_rock_glacier_are_not_in_the_mean(job: EvaluateNetworkJob, tmp_path: Path) -> None:
    chip(tmp_path, "d", area((16, 16), np.s_[:1, :]), area((16, 16)))
    (tmp_path / "chips.csv").write_text("chip,region\na,north\nb,north\nc,south\nd,empty\n")
    region = run(job)[0]["groups"]["region"]
    assert region["of"]["empty"]["rock_glacier"]["iou"] == 0.0 and region["low_snow"] is None
    assert region["mean"]["groups"] == 2 and region["mean"]["rock_glacier"]["iou"] == pytest.approx(250 / 650)
    (tmp_path / "chips.csv").write_text("chip,region\na,north\nb,north\nc,north\nd,empty\n")
    assert run(job)[0]["groups"]["region"]["mean"] is None


def test_the_sweep_finds_the_threshold_with_the_highest_iou(job: EvaluateNetworkJob) -> None:
    found, _ = run(replace(job, threshold=0.7))
    assert found["pixels"]["confusion"]["tp"] == found["pixels"]["confusion"]["fp"] == 0
    assert found["best_threshold"]["iou"] == pytest.approx(500 / 706)
    assert found["best_threshold"]["threshold"] == 0.01
    rows = {row["threshold"]: row for row in found["sweep"]}
    assert rows[0.62]["recall"] == pytest.approx(500 / 640) and rows[0.63]["recall"] == 0.0
    assert rows[0.63]["precision"] is None and rows[0.62]["marked_share"] == pytest.approx(566 / 3568)


def test_calibration_of_known_probabilities(job: EvaluateNetworkJob) -> None:
    found, _ = run(job)
    bins = found["calibration"]
    assert [row["pixels"] for row in bins] == [3002, 0, 0, 0, 0, 0, 566, 0, 0, 0]
    assert bins[6]["mean_probability"] == pytest.approx(MARKED, abs=1e-5)
    assert bins[6]["rock_glacier_share"] == pytest.approx(500 / 566)
    assert bins[1]["mean_probability"] is None
    expected = (3002 * abs(0 - 140 / 3002) + 566 * abs(MARKED - 500 / 566)) / 3568
    assert found["pixels"]["expected_calibration_error"] == pytest.approx(expected, abs=1e-5)
    brier = (140 + 500 * (1 - MARKED) ** 2 + 66 * MARKED**2) / 3568
    assert found["pixels"]["brier_score"] == pytest.approx(brier, abs=1e-5)


def test_files_tell_the_same(job: EvaluateNetworkJob, tmp_path: Path) -> None:
    names = {"json": "e.json", "table": "e.csv", "report": "e.html", "worst": "worst.png", "best": "best.png"}
    found, _ = run(replace(job, **{name: str(tmp_path / file) for name, file in names.items()}))
    written = json.loads((tmp_path / "e.json").read_text())
    assert written == {name: value for name, value in found.items() if name not in names}
    with open(tmp_path / "e.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["sample"] for row in rows] == ["c", "negatives/n", "a", "b", "negatives/m"]
    assert [row["kind"] for row in rows] == ["positive", "negative", "positive", "positive", "negative"]
    assert (rows[2]["tp"], rows[2]["fp"], rows[2]["fn"], rows[2]["tn"]) == ("100", "50", "100", "150")
    assert float(rows[2]["iou"]) == pytest.approx(0.4) and rows[4]["iou"] == "" and rows[1]["region"] == ""
    page = (tmp_path / "e.html").read_text()
    assert "Evaluation of model 1" in page and "north" in page and page.count("data:image/svg+xml") == 3
    for name in ("worst", "best"):
        with rasterio.open(tmp_path / names[name]) as drawn:
            assert drawn.width > 1000 and len(np.unique(drawn.read(1))) > 2
    assert "negatives" not in " ".join(path.name for path in tmp_path.iterdir() if path.name.endswith(".part"))
    assert "unknown (255)" in written["definitions"]["pixels"] and "tile by tile" in written["definitions"]["tiles"]
    text = summary("evaluate", found)
    assert "mean over region" in text and "0.7082" in text and "it flatters" in text


def test_without_rock_glaciers_it_says_so(job: EvaluateNetworkJob, tmp_path: Path) -> None:
    for name in "abc":
        chip(tmp_path, name, area((16, 16), np.s_[:2, :2]), area((16, 16)))
    found, warnings = run(replace(job, best=str(tmp_path / "best.png"), report=str(tmp_path / "e.html")))
    assert warnings == ["no_rock_glaciers"]
    assert found["pixels"]["rock_glacier"]["recall"] is None and found["best_threshold"] is None
    assert (tmp_path / "best.png").is_file() and "nobody knows what the model finds" in (tmp_path / "e.html").read_text()


@pytest.mark.parametrize(
    ("case", "code", "words"),
    [
        ("mask size", "mask_size", "16 x 16"),
        ("mask missing", "mask_missing", "a among them"),
        ("no folder", "file_missing", "There is no folder"),
        ("no chips", "no_chips", "holds no pictures"),
        ("needs nir", "band_missing", "near-infrared"),
        ("output folder", "output_folder", "does not exist"),
        ("no model", "model_missing", "no model"),
        ("not a chip", "not_a_chip", "red, green and blue"),
        ("damaged chip", "truncated_file", "damaged"),
        ("snow", "no_share", "says snow much of chip a"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(job: EvaluateNetworkJob, tmp_path: Path, case: str, code: str, words: str) -> None:
    changes: dict[str, Any] = {"json": str(tmp_path / "e.json")}
    if case == "mask size":
        picture(tmp_path / "masks" / "a.png", np.zeros((1, 16, 16), np.uint8))
    elif case == "mask missing":
        (tmp_path / "masks" / "a.png").unlink()
    elif case == "not a chip":
        picture(tmp_path / "images" / "a.png", np.zeros((1, 20, 20), np.uint8))
    elif case == "damaged chip":
        (tmp_path / "images" / "b.png").write_bytes(b"no picture")
    elif case == "snow":
        (tmp_path / "chips.csv").write_text("chip,region,snow\na,north,much\n")
    elif case == "no chips":
        (tmp_path / "empty").mkdir()
        changes["images"] = str(tmp_path / "empty")
    elif case == "needs nir":
        changes["model"] = str(write_model(tmp_path / "four bands", pointwise(), nir="required"))
    else:
        name, value = {"no folder": ("masks", "nowhere"), "output folder": ("json", "none/e.json"), "no model": ("model", "none")}[case]
        changes[name] = value if name == "model" else str(tmp_path / value)
    with pytest.raises(EngineError, match=words) as caught:
        run(replace(job, **changes))
    assert caught.value.code == code
    assert not list(tmp_path.glob("e.json*")) and not list(tmp_path.glob(".*.part"))


def test_cancelled_it_writes_nothing(job: EvaluateNetworkJob, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        evaluate(replace(job, json=str(tmp_path / "e.json")), SilentReporter(cancel_after=3))
    assert not (tmp_path / "e.json").exists()


def sample_folder(folder: Path, nir: float = 0.3, pixel: float = 10.0) -> Path:
    """Three samples of four bands: two to validate on, of which one is unknown in its lower half, and one to train on."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    rows = []
    for number, (split, block) in enumerate((("validation", "0-0-0"), ("validation", "0-0-1"), ("train", "0-1-1")), 1):
        image = np.full((6, 48, 48), 0.3, np.float32)
        image[0] = np.where(area((48, 48), np.s_[:24, :]), OBJECT, BACKGROUND)
        image[3:] = nir
        image[:, :, 40:] = np.nan
        mask = area((48, 48), np.s_[:12, :]).astype(np.uint8)
        if number == 2:
            mask[24:] = UNKNOWN
        name = f"{number:06d}"
        write_sample(folder, name, Grid(CRS.from_epsg(32645), Affine(pixel, 0, 6e5, 0, -pixel, 3e6), 48, 48), image, mask)
        rows.append(
            f"{name},images/{name}.tif,masks/{name}.tif,{split},positive,outline,/somewhere/stack.tif,,,,{block},,,,,EPSG:32645,{pixel},48,48,0.25,0"
        )
    header = (
        "sample,image,mask,split,kind,made_for,source,date,outline,status,block,x,y,longitude,latitude,crs,pixel_size_m,rows,columns,"
        "rock_glacier,unknown"
    )
    (folder / "samples.csv").write_text("\n".join([header, *rows]) + "\n")
    band = {"minimum": 0.0, "maximum": 1.0, "mean": 0.3, "pixels": 100}
    nothing = {"minimum": None, "maximum": None, "mean": None, "pixels": 0}
    bands = {name: nothing if np.isnan(nir) and name in STACK_BANDS[3:] else band for name in STACK_BANDS}
    (folder / "samples.json").write_text(json.dumps({"recipe": "blocks", "bands": bands}))
    return folder


def test_samples_count_where_they_are_known_and_observed(tmp_path: Path, model: str) -> None:
    job = EvaluateNetworkJob(model=model, samples=str(sample_folder(tmp_path / "samples")), device="cpu")
    found, warnings = run(job)
    assert found["pixels"]["confusion"] == {"tp": 2 * 480, "fp": 2 * 480, "fn": 0, "tn": 960}
    assert set(found["groups"]) == set() and found["subsets"]["low_snow"] is None and warnings == []
    assert found["inputs"] == {"samples": "samples", "split": "validation", "recipe": "blocks"}
    everything, _ = run(replace(job, split="all"))
    assert everything["pixels"]["confusion"] == {"tp": 3 * 480, "fp": 3 * 480, "fn": 0, "tn": 2 * 960}


def test_samples_of_other_pixels_are_run_as_they_are_and_told(tmp_path: Path, model: str) -> None:
    found, warnings = run(EvaluateNetworkJob(model=model, samples=str(sample_folder(tmp_path / "samples", pixel=4.0)), device="cpu"))
    assert found["pixels"]["pixels"] == 3 * 960 and warnings == ["resolution"]


@pytest.mark.parametrize(("nir", "code"), [(np.nan, "band_missing"), (0.3, None)])
def test_samples_without_nir_are_refused_by_a_model_that_needs_it(tmp_path: Path, nir: float, code: str | None) -> None:
    model = write_model(tmp_path / "four", pointwise("nir"), nir="required")
    job = EvaluateNetworkJob(model=str(model), samples=str(sample_folder(tmp_path / "samples", nir)), device="cpu")
    if code is None:
        assert run(job)[0]["pixels"]["confusion"]["fn"] == 2 * 480
        return
    with pytest.raises(EngineError) as caught:
        run(job)
    assert caught.value.code == code


def test_no_sample_on_that_side_and_no_pixel_that_counts(tmp_path: Path, model: str) -> None:
    folder = sample_folder(tmp_path / "samples")
    job = EvaluateNetworkJob(model=model, samples=str(folder), device="cpu")
    table = (folder / "samples.csv").read_text()
    (folder / "samples.csv").write_text(table.replace("validation", "train"))
    with pytest.raises(EngineError, match="no sample for validation"):
        run(job)
    (folder / "samples.csv").write_text(table)
    for name in ("000001", "000002"):
        image = np.full((6, 48, 48), 0.3, np.float32)
        write_sample(folder, name, Grid(CRS(), Affine.identity(), 48, 48), image, np.full((48, 48), UNKNOWN, np.uint8))
    with pytest.raises(EngineError) as caught:
        run(job)
    assert caught.value.code == "nothing_counts"


@pytest.mark.parametrize("network", [constant(0.5), convolutions()], ids=["constant", "convolutions"])
def test_a_chip_of_one_tile_gets_the_very_answer_of_the_network(tmp_path: Path, network: onnx.ModelProto) -> None:
    import onnxruntime  # noqa: PLC0415

    model = write_model(tmp_path / "m", network)
    bright = np.random.default_rng(1).random((TILE, TILE)) < 0.5
    chip(tmp_path, "a", bright, area((TILE, TILE), np.s_[:9, :]))
    found, _ = run(EvaluateNetworkJob(model=str(model), images=str(tmp_path / "images"), masks=str(tmp_path / "masks"), device="cpu"))
    stack = nominal_stack(tmp_path / "images" / "a.png")[None]
    session = onnxruntime.InferenceSession(model / "model.onnx", providers=["CPUExecutionProvider"])
    marked = session.run(["probability"], {"stack": stack})[0][0, 0] >= 0.5
    assert found["pixels"]["confusion"]["tp"] == marked[:9].sum() and found["pixels"]["confusion"]["fp"] == marked[9:].sum()


def test_tallies_add_up_and_count_thresholds_exactly() -> None:
    thresholds = sweep_thresholds(0.123)
    assert len(thresholds) == 100 and np.all(np.diff(thresholds) > 0)
    values = np.array([[0.0, 0.123, 0.5, 1.0]], np.float32)
    mask = np.array([[0, 1, 0, 1]], np.uint8)
    parts = [Tally.of(values, mask, np.array([keep]), thresholds) for keep in ([True, True, False, False], [False, False, True, True])]
    together = parts[0] + parts[1]
    assert together.confusion(0.123) == {"tp": 2, "fp": 1, "fn": 0, "tn": 1}
    assert together.confusion(0.5) == {"tp": 1, "fp": 1, "fn": 1, "tn": 1}
    assert together.pixels == 4 and calibration(together)[9]["pixels"] == 1
    whole = Tally.of(values, mask, np.ones((1, 4), bool), thresholds)
    assert figures(together, 0.5) == figures(whole, 0.5)


def test_no_pixel_has_no_figures() -> None:
    empty = Tally.of(np.zeros((0, 4), np.float32), np.zeros((0, 4), np.uint8), np.zeros((0, 4), bool), sweep_thresholds(0.5))
    found = figures(empty, 0.5)
    assert found["rock_glacier"]["iou"] is None and found["brier_score"] is None and found["expected_calibration_error"] is None
    assert best(sweep(empty)) is None and mean_of([found])["overall"]["miou"] is None


def test_the_bundled_model_on_real_chips(data: Path, tmp_path: Path) -> None:
    chips = data / "chile_andes"
    if not chips.is_dir():
        pytest.skip(f"the real chips are not at {chips}")
    names = sorted(path.name for path in (chips / "positive").glob("*.png"))[::20]
    for folder, source in (("images", "positive"), ("masks", "mask")):
        (tmp_path / folder).mkdir()
        for name in names:
            shutil.copy(chips / source / name, tmp_path / folder)
    shutil.copy(chips / "chips.csv", tmp_path)
    found, _ = run(EvaluateNetworkJob(images=str(tmp_path / "images"), masks=str(tmp_path / "masks"), device="cpu"))
    assert found["samples"]["all"] == len(names) == 24 and set(found["groups"]["region"]["of"]) == {"A", "B", "C", "D"}
    assert found["subsets"]["low_snow"]["samples"] > 3
    assert 0.4 < found["pixels"]["rock_glacier"]["iou"] < 1  # it was trained on these chips
