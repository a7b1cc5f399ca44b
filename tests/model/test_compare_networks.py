"""Networks compared: what is read, done, done again, left out and told. Most trainers here train nothing and mark what is known."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from torch import Tensor, nn

from engine.errors import Cancelled, EngineError
from engine.reporting import SilentReporter
from engine.samples import samples
from jobs import STACK_BANDS, CompareNetworksJob, SamplesJob
from model import compare_networks as command
from model.checkpoints import BEST, CHECKPOINTS
from model.compare_networks import Run, compare_networks
from model.comparison_config import read_comparison
from model.comparison_data import Folds, chosen, find_folds, statistics
from model.comparison_tables import FIGURES, Ordering, figures_of, markdown, orderings, rows, spread, tables
from model.comparison_time import Clock, spoken
from model.networks import Network
from model.trained_network import read_trained

CONFIGS = sorted((Path(__file__).parents[2] / "benchmarks" / "networks").glob("*.toml"))
DATA = Path(__file__).parents[3] / "shared" / "data"
SIDE = 64

CHIPS = """
title = "A test"
form = "networks"
seeds = [1, 2]

[training]
steps = 2
batch_size = 4
crop = 64

[data]
images = "positive"
masks = "mask"
negatives = "negative"
leave_out = "region"

[[networks]]
name = "cdnet-compact"
label = "Right"

[[networks]]
name = "cdnet-compact"
label = "Blind"

[[orderings]]
better = "Right"
worse = "Blind"
says = "nobody"
"""
RUNS = 2 * 2 * 2
"""Networks, regions, seeds."""


class Known(nn.Module):
    """Marks what is bright in the first band, or nothing."""

    def __init__(self, bands: tuple[str, ...], sees: bool) -> None:
        super().__init__()
        self.bands, self.sees = bands, sees

    def forward(self, stack: Tensor) -> Tensor:
        return torch.where(stack[:, :1] > 0.2, 9.0 if self.sees else -9.0, -9.0)


class Trainer:
    """Trains nothing; ``runs`` that it was asked for. ``fails`` tells what is wrong with a run, or that nothing is."""

    def __init__(self, fails: Any = lambda _run: None) -> None:
        self.runs: list[str] = []
        self._fails = fails

    def __call__(self, run: Run, *_: object) -> tuple[Any, dict[str, Any]]:
        self.runs.append(run.name)
        if error := self._fails(run):
            raise error
        return Known(run.entry.bands, run.entry.label != "Blind"), {"minutes": 0.5, "steps": 2}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    monkeypatch.setattr(command, "tile_milliseconds", lambda _network: 7.0)
    monkeypatch.setattr("model.comparison_data.BATCHES_FOR_STATISTICS", 2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A comparison on chips of the regions A and B, whose rock glacier is bright; some have snow, some no rock glacier."""
    rng = np.random.default_rng(1)
    for folder in ("positive", "mask", "negative"):
        (tmp_path / folder).mkdir()
    lines = ["chip,region,snow"]
    for number in range(8):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[8:40, 16:48] = 1
        picture(tmp_path / "positive" / f"{number:03d}.png", rng, mask)
        Image.fromarray(mask).save(tmp_path / "mask" / f"{number:03d}.png")
        lines.append(f"{number:03d},{'AB'[number % 2]},{0.5 if number >= 6 else 0.0}")
    for number in range(7):
        picture(tmp_path / "negative" / f"{number}.png", rng, np.zeros((SIDE, SIDE), np.uint8))
    (tmp_path / "chips.csv").write_text("\n".join(lines), encoding="utf-8")
    return written(tmp_path, CHIPS)


def picture(path: Path, rng: np.random.Generator, mask: np.ndarray) -> None:
    colours = rng.integers(20, 60, (SIDE, SIDE, 3))
    colours[mask > 0] = 220
    Image.fromarray(colours.astype(np.uint8)).save(path)


def written(folder: Path, text: str) -> Path:
    path = folder / "networks.toml"
    path.write_text(text, encoding="utf-8")
    return path


def compared(config: Path, train: Any = None, reporter: SilentReporter | None = None) -> dict[str, Any]:
    return compare_networks(CompareNetworksJob(str(config), str(config.parent / "out")), reporter or SilentReporter(), train or Trainer())


def results(config: Path) -> list[dict[str, str]]:
    with open(config.parent / "out" / "results.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_network_is_tested_on_every_region_with_every_seed(config: Path) -> None:
    reporter, trainer = SilentReporter(), Trainer()
    result = compared(config, trainer, reporter)
    assert (result["done"], result["runs"], result["failed"]) == (RUNS, RUNS, {})
    assert len(set(trainer.runs)) == RUNS
    assert [(row["label"], row["iou"], row["iou_sd"]) for row in result["table"]] == [("Right", 1.0, 0.0), ("Blind", 0.0, 0.0)]
    assert result["orderings"][0] | {"difference": 1.0, "holds": 4, "pairs": 4} == result["orderings"][0]
    assert any("8 trainings of 2 networks: about" in text for text in reporter.infos)
    assert reporter.fractions == sorted(reporter.fractions)
    assert all(Path(path).is_file() for path in result["files"])
    found = results(config)
    assert len(found) == RUNS
    assert {row["negatives_marked"] for row in found} == {"0.0"}
    assert [row["label"] for row in found[:2]] == ["Right", "Blind"]
    report = (config.parent / "out" / "report.html").read_text(encoding="utf-8")
    assert "A test" in report
    assert "data:image/svg+xml" in report


def test_figures_are_over_chips_with_little_snow(config: Path) -> None:
    compared(config)
    assert [(row["main"], row["positive"], row["negative"]) for row in map(samples_of, runs_of(config))] == [(3, 4, 1)] * RUNS


def runs_of(config: Path) -> list[Path]:
    return sorted((config.parent / "out" / "runs").glob("*/*/*/scores.json"))


def samples_of(path: Path) -> dict[str, int]:
    return json.loads(path.read_text(encoding="utf-8"))["scores"]["samples"]


def test_what_is_done_is_not_done_again(config: Path) -> None:
    compared(config)
    written(config.parent, CHIPS.replace("seeds = [1, 2]", "seeds = [1, 2, 3]"))
    again = Trainer()
    result = compared(config, again)
    assert len(again.runs) == 4
    assert all(name.endswith("seed 3") for name in again.runs)
    assert result["done"] == RUNS + 4


def test_a_killed_comparison_goes_on(config: Path) -> None:
    killed = Trainer(lambda run: KeyboardInterrupt() if run.seed == 2 else None)
    with pytest.raises(KeyboardInterrupt):
        compared(config, killed)
    assert len(results(config)) == 4  # tables are there as far as the work is
    again = Trainer()
    assert compared(config, again)["done"] == RUNS
    assert len(again.runs) == 4


def test_a_cancelled_comparison_stops(config: Path) -> None:
    trainer = Trainer(lambda _run: Cancelled())
    with pytest.raises(Cancelled):
        compared(config, trainer)
    assert len(trainer.runs) == 1


def test_a_network_that_fails_does_not_keep_the_others(config: Path) -> None:
    reporter = SilentReporter()
    failing = Trainer(lambda run: ValueError("no such thing\nand more") if run.entry.label == "Blind" else None)
    result = compared(config, failing, reporter)
    assert result["done"] == 4
    assert result["failed"] == {name: "no such thing" for name in failing.runs if name.startswith("Blind")}
    assert [code for code, _ in reporter.warnings] == ["run_failed"] * 4
    assert result["table"][1]["iou"] is None
    assert "no such thing" in (config.parent / "out" / "report.html").read_text(encoding="utf-8")
    again = Trainer()
    assert compared(config, again)["failed"] == {}
    assert again.runs == list(result["failed"])


def test_when_all_fail_there_is_nothing_to_compare(config: Path) -> None:
    with pytest.raises(EngineError, match="no such thing") as raised:
        compared(config, Trainer(lambda _run: ValueError("no such thing")))
    assert raised.value.code == "nothing_compared"


def test_a_full_disk_stops_all(config: Path) -> None:
    trainer = Trainer(lambda _run: EngineError("disk_full", "It is full."))
    with pytest.raises(EngineError, match="full"):
        compared(config, trainer)
    assert len(trainer.runs) == 1


def test_runs_with_other_settings_are_not_mixed(config: Path) -> None:
    compared(config)
    written(config.parent, CHIPS.replace("steps = 2", "steps = 3"))
    with pytest.raises(EngineError, match="steps was 2, now it is 3") as raised:
        compared(config)
    assert raised.value.code == "other_comparison"


def test_runs_on_other_data_are_not_mixed(config: Path) -> None:
    compared(config)
    picture(config.parent / "positive" / "000.png", np.random.default_rng(9), np.ones((SIDE, SIDE), np.uint8))
    with pytest.raises(EngineError) as raised:
        compared(config)
    assert raised.value.code == "other_comparison"


def test_a_branch_that_sees_nothing_is_not_trained(config: Path) -> None:
    trained = []

    def train(run: Run, network: Network, *_: object) -> tuple[Any, dict[str, Any]]:
        trained.append({name.split("_")[0] for name, parameter in network.named_parameters() if parameter.requires_grad})
        return Known(run.entry.bands, True), {"minutes": 0.5, "steps": 2}

    compared(written(config.parent, CHIPS.replace('"cdnet-compact"', '"dednet-compact"', 1)), train)
    assert "true" in trained[0]
    assert "spectral" not in trained[0]


def test_a_network_that_sees_nothing_is_named(config: Path) -> None:
    written(config.parent, CHIPS.replace('name = "cdnet-compact"\nlabel = "Blind"', 'name = "cdnet-nir-compact"\nlabel = "Blind"'))
    reporter = SilentReporter()
    compared(config, reporter=reporter)
    assert [code for code, _ in reporter.warnings] == ["bands_unseen"]
    assert "Blind" in reporter.warnings[0][1]
    assert "Right" not in reporter.warnings[0][1]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"cdnet-compact"\nlabel = "Blind"', '"cdnet-compct"\nlabel = "Blind"', "did you mean cdnet-compact"),
        ("batch_size", "batch_sise", "did you mean batch_size"),
        ("title", "titel", "did you mean title"),
        ("steps = 2", "steps = 2\nminutes = 3", "either steps"),
        ("steps = 2", "steps = 0", "1 or more"),
        ("steps = 2", 'steps = "2"', "a whole number"),
        ("steps = 2", "steps = true", "a whole number"),
        ("batch_size = 4", "batch_size = 1", "batch norm"),
        ("crop = 64", "crop = 64\nloss = 'dise'", "did you mean dice"),
        ("crop = 64", "crop = 64\nrecipe = 'paperr'", "did you mean paper"),
        ('label = "Blind"', 'label = "Blind"\noptions = { output_strid = 8 }', "did you mean output_stride"),
        ('label = "Blind"', 'label = "Blind"\noptions = { output_stride = 7 }', "cannot be built"),
        ('label = "Blind"', 'label = "Blind"\nfeatures = "optcal"', "did you mean optical"),
        ('label = "Blind"', 'label = "Blind"\nstart = "imagenet.pth"', "imagenet.pth"),
        ('label = "Blind"', 'label = " right"', "'Right'"),
        ('worse = "Blind"', 'worse = "Blint"', "did you mean Blind"),
        ("seeds = [1, 2]", "seeds = [1, 1]", "twice"),
        ("seeds = [1, 2]", "seeds = []", "seeds"),
        ("seeds = [1, 2]", "seeds = 1", "a list"),
        ('images = "positive"', "", "data: give samples"),
        ('masks = "mask"', "", "masks is missing"),
        ("[training]", "[training", "no TOML"),
    ],
)
def test_what_is_not_known_is_named_before_any_work(config: Path, old: str, new: str, said: str) -> None:
    assert old in CHIPS
    written(config.parent, CHIPS.replace(old, new))
    trainer = Trainer()
    with pytest.raises(EngineError, match=said):
        compared(config, trainer)
    assert not trainer.runs
    assert not (config.parent / "out").exists()


@pytest.mark.parametrize(("old", "new"), [('"mask"', '"masks"'), ('"positive"', '"chips.csv"')])
def test_files_are_there_before_any_work(config: Path, old: str, new: str) -> None:
    written(config.parent, CHIPS.replace(old, new))
    with pytest.raises(EngineError) as raised:
        compared(config)
    assert raised.value.code == "file_missing"


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="networks.toml") as raised:
        compared(tmp_path / "networks.toml")
    assert raised.value.code == "file_missing"


def test_features_are_for_networks_that_read_any_bands(config: Path) -> None:
    dednet = CHIPS.replace('name = "cdnet-compact"\nlabel = "Blind"', 'name = "dednet-compact"\nlabel = "Blind"\nfeatures = "rgb"')
    with pytest.raises(EngineError, match="reads red, green, blue, nir, evi, savi alone"):
        read_comparison(written(config.parent, dednet))
    unet = CHIPS.replace('name = "cdnet-compact"\nlabel = "Blind"', 'name = "unet"\nlabel = "Blind"\nfeatures = "optical+dem"')
    with pytest.raises(EngineError, match="reads elevation, slope; the data have red"):
        compared(written(config.parent, unet))


def test_a_region_that_no_chip_is_of_is_named(config: Path) -> None:
    written(config.parent, CHIPS.replace('leave_out = "region"', 'folds = ["C"]'))
    with pytest.raises(EngineError, match=r"\(C\).*knows A, B") as raised:
        compared(config)
    assert raised.value.code == "no_fold"


def test_one_region_of_several_may_be_left_out(config: Path) -> None:
    written(config.parent, CHIPS.replace('leave_out = "region"', 'folds = ["B"]'))
    assert {row["fold"] for row in compared(config) and results(config)} == {"B"}


def test_chips_of_shared_ground_are_on_neither_side(config: Path) -> None:
    (config.parent / "overlaps.csv").write_text("chip_a,chip_b\n001,000\n000,002\n", encoding="utf-8")
    folds: Any = find_folds(read_comparison(config).place)
    train, test = folds._split("B")
    assert [chip.name for chip in train] == ["004", "006"]
    assert [chip.name for chip in test] == ["001", "003", "005", "007"]


def test_a_folder_of_samples_is_trained_on_and_validated_as_it_says(config: Path) -> None:
    folder = config.parent
    (folder / "overlaps.csv").write_text("chip_a,chip_b\n000,000\n", encoding="utf-8")
    job = SamplesJob(
        str(folder / "samples"), images=str(folder / "positive"), masks=str(folder / "mask"), negatives=str(folder / "negative")
    )
    samples(job, SilentReporter())
    start, end = CHIPS.index("images"), CHIPS.index("[[networks]]")
    written(folder, CHIPS[:start] + 'samples = "samples"\n\n' + CHIPS[end:])
    assert compared(config)["table"][0]["iou"] == 1.0
    assert {row["fold"] for row in results(config)} == {"validation"}
    folds = find_folds(read_comparison(config).place)
    stack, truth, weight = folds.batches("validation", 48, 4, 1)[0]
    assert stack.shape == (4, 6, 48, 48)
    assert truth.shape == weight.shape == (4, 1, 48, 48)
    assert folds.absent == STACK_BANDS[3:]


SCENES = """
form = "features"
target = "debris"

[training]
minutes = 1
batch_size = 4
crop = 32

[data]
bands = ["blue", "green", "red", "nir", "elevation"]
scale = { blue = 0.5, red = 0.5 }

[[data.scenes]]
image = "a.tif"
mask = "a_mask.tif"
region = "A"

[[data.scenes]]
image = "b.tif"
mask = "b_mask.tif"
region = "B"

[features]
all = ["red", "evi", "elevation"]

[[networks]]
name = "random_forest"
label = "Forest"
features = "all"
"""


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Two scenes: red is 0.4 (A) and 0.8 (B) before it is scaled, ten times as much on the debris; elevation is 1 everywhere."""
    for name, red in (("a", 0.04), ("b", 0.08)):
        mask = np.zeros((48, 40), np.uint8)
        mask[:20, :20] = 1
        image = np.full((5, 48, 40), 0.1, np.float32)
        image[2] = np.where(mask, 10 * red, red)
        image[4] = 1.0
        for path, bands in ((f"{name}.tif", image), (f"{name}_mask.tif", mask[None])):
            with rasterio.open(tmp_path / path, "w", driver="GTiff", width=40, height=48, count=len(bands), dtype=bands.dtype) as dataset:
                dataset.write(bands)
    return written(tmp_path, SCENES)


def test_training_sees_windows_of_the_other_regions_alone(scenes: Path) -> None:
    folds = find_folds(read_comparison(scenes).place)
    assert folds.bands == ("blue", "green", "red", "nir", "elevation", "evi", "savi")
    assert folds.names == ("A", "B")
    stack, truth, weight = folds.batches("A", 32, 4, 1)[0]
    assert stack.shape == (4, 7, 32, 32)
    np.testing.assert_allclose(np.unique(stack[:, 2]), (0.04, 0.4), rtol=1e-6)  # of B, halved
    np.testing.assert_array_equal(truth[:, 0] == 1, stack[:, 2] > 0.2)
    assert weight.min() == 1
    (case,) = folds.cases("A")
    image, mask = case.read()
    np.testing.assert_allclose(np.unique(image[2]), (0.02, 0.2), rtol=1e-6)
    assert mask.shape == (48, 40)


def test_batches_depend_on_seed_and_number_alone(scenes: Path) -> None:
    folds = find_folds(read_comparison(scenes).place)
    first, again, other = (folds.batches("A", 32, 4, seed) for seed in (1, 1, 2))
    for number in (3, 0):
        for one, two in zip(first[number], again[number], strict=True):
            np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[0][1], other[0][1])


def test_statistics_are_those_of_the_bands_that_are_read(scenes: Path) -> None:
    folds = find_folds(read_comparison(scenes).place)
    found = statistics(chosen(folds.batches("A", 32, 4, 1), folds.bands, ("elevation", "red")))
    np.testing.assert_allclose(found.minimum, (1.0, 0.04), rtol=1e-6)
    np.testing.assert_allclose(found.maximum, (2.0, 0.4), rtol=1e-6)  # of one value alone: a range all the same


def test_bands_that_are_nowhere_get_a_range(config: Path) -> None:
    folds = find_folds(read_comparison(config).place)
    found = statistics(folds.batches("A", 64, 4, 1))
    assert (found.minimum[3], found.maximum[3], found.mean[3]) == (0.0, 1.0, 0.5)
    assert 0 < found.mean[0] < 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda text: text.replace('"nir", ', ""), "config"),
        (lambda text: text.replace("a_mask.tif", "b_small.tif"), "mask_size"),
        (lambda text: text.replace('region = "B"', 'region = "A"'), "config"),
        (lambda text: text.replace("blue = 0.5", "violet = 0.5"), "config"),
    ],
)
def test_scenes_that_do_not_fit_are_refused(scenes: Path, change: Any, code: str) -> None:
    with rasterio.open(scenes.parent / "b_small.tif", "w", driver="GTiff", width=8, height=8, count=1, dtype="uint8") as dataset:
        dataset.write(np.zeros((1, 8, 8), np.uint8))
    written(scenes.parent, change(SCENES))
    with pytest.raises(EngineError) as raised:
        compared(scenes)
    assert raised.value.code == code


def test_a_forest_and_a_network_are_really_trained(config: Path) -> None:
    """With the trainer of the command; stopped in the middle, then gone on with."""
    text = CHIPS.replace("seeds = [1, 2]", "seeds = [1]").replace('"region"', '"region"\nfolds = ["A"]').replace("steps = 2", "steps = 3")
    text = text.replace("crop = 64", "crop = 64\nforest_batches = 3")
    text = text.replace('"cdnet-compact"\nlabel = "Right"', '"random_forest"\noptions = { trees = 3 }\nlabel = "Right"')
    written(config.parent, text)
    job = CompareNetworksJob(str(config), str(config.parent / "out"))
    with pytest.raises(Cancelled):
        compare_networks(job, StopsInTraining())
    assert (config.parent / "out" / "runs" / "right" / "a" / "seed-1" / "scores.json").is_file()
    assert not (config.parent / "out" / "runs" / "blind" / "a" / "seed-1" / "scores.json").exists()
    result = compare_networks(job, SilentReporter())
    assert result["done"] == 2
    assert result["table"][0]["iou"] > 0.9
    for label, name in (("right", "random_forest"), ("blind", "cdnet-compact")):
        folder = config.parent / "out" / "runs" / label / "a" / "seed-1" / "training"
        assert read_trained(folder).name == name
        assert [path.name for path in (folder / CHECKPOINTS).iterdir()] == [BEST]


class StopsInTraining(SilentReporter):
    """Cancels when the first network takes its second step."""

    def __init__(self) -> None:
        super().__init__()
        self.is_training = False

    def progress(self, fraction: float, text: str = "") -> None:
        self.is_training |= "loss" in text and text.startswith("Blind")
        super().progress(fraction, text)

    def check_cancelled(self) -> None:
        if self.is_training:
            raise Cancelled


def test_spread_over_folds_and_seeds() -> None:
    found = spread({("A", 1): 0.2, ("B", 1): 0.4, ("A", 2): 0.4, ("B", 2): 0.6, ("A", 3): 0.9, ("B", 3): None})
    assert found is not None
    assert found.mean == pytest.approx(0.4)
    assert found.seeds == pytest.approx(np.std([0.3, 0.5], ddof=1))
    assert found.folds == pytest.approx({"A": 0.3, "B": 0.5})
    assert str(found) == "0.4000 ± 0.1414"
    assert str(spread({("A", 1): 0.25})) == "0.2500"
    assert spread({("A", 1): None}) is None
    assert spread({}) is None


def outcome(label: str, fold: str, seed: int, **figures: float) -> dict[str, Any]:
    known = {name: figures.get(name) for name in FIGURES}
    return {"label": label, "fold": fold, "seed": seed, "figures": known, "minutes": 1.5, "tile_ms": 7.0 if seed == 1 else None}


def test_orderings_compare_runs_of_one_fold_and_seed(config: Path) -> None:
    comparison = read_comparison(config)
    outcomes = [outcome("Right", fold, seed, iou=0.5) for fold in "AB" for seed in (1, 2)]
    outcomes += [
        outcome("Blind", "A", 1, iou=0.1),
        outcome("Blind", "A", 2, iou=0.6),
        outcome("Blind", "B", 1, iou=0.5),
        outcome("Blind", "B", 2),
    ]
    (found,) = orderings(comparison, outcomes, "iou")
    assert (found.holds, found.pairs) == (1, 3)
    assert found.difference == pytest.approx(0.1)
    assert found.verdict == "undecided"
    assert orderings(comparison, [], "iou")[0].verdict == "not measured"


@pytest.mark.parametrize(
    ("holds", "pairs", "verdict"),
    [(4, 4, "holds"), (0, 4, "does not hold"), (3, 4, "undecided, rather yes"), (1, 4, "undecided, rather no"), (2, 4, "undecided")],
)
def test_an_ordering_in_words(holds: int, pairs: int, verdict: str) -> None:
    assert Ordering("a", "b", "", holds, pairs, 0.0).verdict == verdict


LIN = """
form = "FORM"
[training]
steps = 1
[data]
images = "positive"
masks = "mask"
[[networks]]
name = "dednet-compact-block1"
label = "DEDNet, block 1"
start = "imagenet"
[[networks]]
name = "cdnet-nir-compact"
label = "CDNet, NIR"
"""


def told(config: Path, form: str) -> list[tuple[str, list[list[str]]]]:
    comparison = read_comparison(written(config.parent, LIN.replace("FORM", form)))
    folds: Folds = find_folds(comparison.place)
    figures = {"accuracy": 0.9, "miou": 0.7, "macro_precision": 0.8, "macro_recall": 0.85, "specificity": 0.95, "iou": 0.5}
    outcomes = [outcome("DEDNet, block 1", fold, 1, **figures) for fold in folds.names]
    return tables(comparison, folds, rows(comparison, folds.names, outcomes))


def test_the_ablation_table(config: Path) -> None:
    (_, cells), *_ = told(config, "ablation")
    assert cells == [
        ["Network", "RGB", "NIR-EVI-SAVI", "Block 1", "Block 2", "Negative sample", "mIoU"],
        ["DEDNet, block 1", "✓", "✓", "✓", "", "", "0.7000"],
        ["CDNet, NIR", "", "✓", "", "", "", "–"],
    ]


def test_the_table_of_networks(config: Path) -> None:
    (_, cells), *others = told(config, "networks")
    assert cells[0] == ["Network", "Backbone", "Pretrained", "Accuracy", "mIoU", "Precision", "Recall", "Specificity"]
    assert cells[1] == ["DEDNet, block 1", "efficientnet_lite0", "True", "0.9000", "0.7000", "0.8000", "0.8500", "0.9500"]
    assert cells[2][:4] == ["CDNet, NIR", "efficientnet_lite0", "False", "–"]
    by_fold, costs = others[-2][1], others[-1][1]
    assert by_fold == [["Network", "A", "B", "Mean"], ["DEDNet, block 1", "0.5000", "0.5000", "0.5000"], ["CDNet, NIR", "–", "–", "–"]]
    assert costs[1] == ["DEDNet, block 1", "1.4", "4.4", "7", "1.5", "2 of 2"]
    assert costs[2][-1] == "0 of 2"


def test_the_glacier_table(config: Path) -> None:
    (_, cells), *_ = told(config, "features")
    assert cells[0] == ["Network", "Data", "Accuracy", "Precision", "Recall", "F1-score", "IoU"]
    assert cells[1] == ["dednet-compact-block1", "red green blue nir evi savi", "0.9000", "–", "–", "–", "0.5000"]


def test_figures_are_those_of_the_evaluation() -> None:
    of_class = {"precision": 0.1, "recall": 0.2, "specificity": 0.3, "f1": 0.4, "iou": 0.5}
    main = {
        "overall": {"accuracy": 0.6, "miou": 0.7, "mcc": 0.8},
        "macro": {name: value + 0.4 for name, value in of_class.items()},
        "rock_glacier": of_class,
        "expected_calibration_error": 0.05,
    }
    found = figures_of({"main": main, "positive": main, "negative": None, "best_threshold": {"iou": 0.55}})
    assert found["iou"] == found["iou_all_positive"] == 0.5
    assert (found["macro_precision"], found["specificity"], found["miou"]) == (0.5, 0.3, 0.7)
    assert (found["negatives_marked"], found["best_threshold_iou"]) == (None, 0.55)


def test_numbers_of_a_table_stand_to_the_right() -> None:
    assert markdown([["Name", "A", "B"], ["x", "1.0", "text"], ["y", "–", "–"]]).splitlines()[1] == "| --- | ---: | --- |"


def test_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 20.0, 40.0])
    monkeypatch.setattr("model.comparison_time.time.monotonic", lambda: next(now))
    clock = Clock([10.0, 30.0])
    assert clock.left(0.0) == 40.0
    clock.finish_one()
    assert clock.share(1 / 3) == 0.5
    assert clock.left(0.0) == pytest.approx(30.0 * 20 / 10)  # it goes half as fast as was thought


@pytest.mark.parametrize(("seconds", "words"), [(12.3, "12 s"), (130, "2 min"), (3599, "1 h 0 min"), (12000, "3 h 20 min")])
def test_a_time_in_words(seconds: float, words: str) -> None:
    assert spoken(seconds) == words


@pytest.mark.skipif(not DATA.is_dir(), reason="the data are not here (../shared/data)")
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_lists_of_the_benchmarks_can_be_read(path: Path) -> None:
    comparison = read_comparison(path)
    folds = find_folds(comparison.place)
    assert len(folds.names) > 1
    for entry in comparison.entries:
        assert set(entry.bands) <= set(folds.bands)
