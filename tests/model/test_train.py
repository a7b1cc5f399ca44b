"""The command train: from a folder of samples to a model folder, and what it refuses."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from engine.card import read_card
from engine.errors import Cancelled, EngineError
from engine.inference import open_network
from engine.reporting import SilentReporter
from engine.sample_files import read_samples
from engine.terminal import summary
from jobs import TrainJob
from model import training_estimate
from model.augmentation import Augmentation, ScaleAndCrop
from model.batch_norms import make_identity
from model.checkpoints import read_checkpoint, write_checkpoint
from model.networks import NETWORKS
from model.recipes import RECIPES
from model.sample_batches import SampleBatches, SampleTiles
from model.train import train
from model.trained_network import described, read_trained
from model.training_preparation import prepared
from tests.model.sample_folders import sample_folder

SMALL = ('backbone="mobilenetv3_small_050"', "widths=[16, 16, 8, 8, 8]")
"""Options of a U-Net that takes a step in a moment."""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_folder(tmp_path_factory.mktemp("given") / "samples")


@pytest.fixture
def job(samples: Path, tmp_path: Path) -> TrainJob:
    return TrainJob(
        str(samples),
        str(tmp_path / "training"),
        network="unet",
        network_options=SMALL,
        start="random",
        epochs=2,
        batch_size=2,
        device="cpu",
    )


def run(job: TrainJob) -> tuple[dict[str, Any], list[str]]:
    reporter = SilentReporter()
    return train(job, reporter), [code for code, _ in reporter.warnings]


def refusal(job: TrainJob) -> EngineError:
    with pytest.raises(EngineError) as refused:
        run(job)
    return refused.value


class TestFromSamplesToAModel:
    def test_a_model_that_detect_runs(self, job: TrainJob, tmp_path: Path) -> None:
        result, warnings = run(replace(job, model=str(tmp_path / "models" / "mine")))
        assert warnings == []
        assert (result["steps"], result["epochs"], result["stopped_by"]) == (4, 2, "steps")
        card = read_card(tmp_path / "models" / "mine")
        assert (card.gsd_m, card.tile_px, card.nir) == (10.0, 64, "optional")
        assert card.threshold == result["threshold"]
        about = card.document
        assert (about["qualification"]["runs"][0]["device"], about["evaluation"]["samples"]["all"]) == ("CPU", 2)
        assert about["qualification"]["parity"]["samples"]["tiles"] == 2
        assert about["training"]["command"].startswith("rock-glacier train samples training --network unet")
        assert {"torch", "lightning", "timm"} <= set(about["training"]["versions"])
        assert about["training"]["seed"] == 1
        assert about["training_data"][0]["source"] == "stack.tif"
        assert about["scores"]["validation"]["rock_glacier"]["iou"] == result["iou"]
        assert "chosen" in about["scores"]["definitions"]["validation"]
        assert str(tmp_path) not in json.dumps(about)
        stack = np.random.default_rng(1).random((1, 6, 64, 64), dtype=np.float32)
        probability = open_network(card, "cpu", 1, SilentReporter()).run(stack)
        trained = read_trained(job.output)
        with torch.no_grad():
            own = torch.sigmoid(trained.network(torch.from_numpy(stack)) / trained.temperature)[:, 0].numpy()
        np.testing.assert_allclose(probability, own, atol=1e-4)
        assert "threshold" in "".join(summary("train", result))

    def test_what_the_folder_holds(self, job: TrainJob) -> None:
        result, _ = run(job)
        folder = Path(job.output)
        for name in (
            "training.json",
            "log.csv",
            "epochs.csv",
            "curves.png",
            "metrics.json",
            "checkpoints/last.ckpt",
            "checkpoints/best.ckpt",
        ):
            assert (folder / name).is_file(), name
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["validation"]["rock_glacier"]["iou"] == result["iou"]
        assert len(metrics["sweep"]) == 99
        best = read_checkpoint(folder / "checkpoints" / "best.ckpt")
        assert (best["threshold"], best["temperature"]) == (result["threshold"], result["temperature"])

    def test_the_same_again_changes_nothing(self, job: TrainJob) -> None:
        first, _ = run(job)
        log = (Path(job.output) / "log.csv").read_bytes()
        again, _ = run(job)
        assert {**again, "estimate": None} == {**first, "estimate": None}
        assert (Path(job.output) / "log.csv").read_bytes() == log

    @pytest.mark.parametrize(
        "change", [{"learning_rate": 1e-4}, {"crop": 32}, {"seed": 2}, {"epochs": 3}, {"network_options": ()}], ids=str
    )
    def test_another_job_does_not_go_on_in_the_folder(self, job: TrainJob, change: dict[str, Any]) -> None:
        run(replace(job, epochs=1))
        assert refusal(replace(job, **{"epochs": 1, **change})).code == "other_training"

    def test_a_network_goes_on_from_another_training(self, job: TrainJob, tmp_path: Path) -> None:
        run(job)
        further = replace(
            job, output=str(tmp_path / "further"), start=job.output, network=None, network_options=(), learning_rate=1e-9, epochs=1
        )
        run(further)
        for name, value in read_trained(job.output).network.named_parameters():
            torch.testing.assert_close(dict(read_trained(further.output).network.named_parameters())[name], value, atol=1e-5, rtol=0)
        other = refusal(replace(further, output=str(tmp_path / "none"), network="segnet"))
        assert other.code == "other_network"

    def test_folded_batch_norms_stay_folded(self, job: TrainJob, tmp_path: Path) -> None:
        """Through an interruption, and a training that goes on from that one."""
        read = read_samples(job.samples)
        network = prepared(job, read, SilentReporter()).network
        norms = {name: module for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
        for norm in norms.values():
            make_identity(norm, torch.zeros(1))
        about = {"training": {}, "training_data": [], "settings": {}, "gsd_m": 10.0, "tile_px": 64, "nir": "optional"}
        state = {"description": {"network": described("unet", network), **about}, "weights": network.state_dict()}
        write_checkpoint(tmp_path / "folded.ckpt", {**state, "step": 0, "epoch": 0, "seconds": 0.0})
        first = replace(job, start=str(tmp_path / "folded.ckpt"), network=None, network_options=())
        log = Path(first.output) / "log.csv"

        class Impatient(SilentReporter):
            def check_cancelled(self) -> None:
                if log.is_file() and log.read_text().count("\n") > 1:
                    raise Cancelled

        with pytest.raises(Cancelled):
            train(first, Impatient())
        run(first)
        run(replace(first, start=first.output, output=str(tmp_path / "further"), epochs=1))
        for folder in (first.output, str(tmp_path / "further")):
            after = read_trained(folder).network.state_dict()
            assert all(not after[f"{name}.running_mean"].any() for name in norms)
            assert all(torch.equal(after[f"{name}.running_var"], norm.running_var) for name, norm in norms.items())
            assert not torch.equal(after["head.weight"], network.state_dict()["head.weight"])

    def test_a_forest_is_fitted_by_the_same_command(self, job: TrainJob, tmp_path: Path) -> None:
        forest = replace(job, network="random_forest", network_options=("trees=5",), model=str(tmp_path / "forest"))
        result, _ = run(forest)
        assert result["stopped_by"] == "fitted"
        assert result["iou"] > 0.8
        assert 0.2 < result["threshold"] < 0.8
        assert read_card(tmp_path / "forest").threshold == result["threshold"]
        assert run(forest)[0]["iou"] == result["iou"]

    def test_the_paper_recipe_sees_samples_resized(self, job: TrainJob) -> None:
        run(replace(job, recipe="paper", crop=96))
        description = json.loads((Path(job.output) / "training.json").read_text())
        assert description["gsd_m"] == pytest.approx(10 * 64 / 96, abs=1e-3)
        assert (description["tile_px"], description["nir"]) == (96, "required")
        assert description["settings"]["optimiser"] == "adam"


def test_recipes_are_what_they_say() -> None:
    paper, modern = RECIPES["paper"], RECIPES["modern"]
    assert (paper.network, paper.optimiser, paper.learning_rate, paper.loss) == ("dednet-hrnet-w48", "adam", 3e-5, "dice")
    assert (paper.crop, paper.batch_size, paper.epochs, paper.change) == (352, 4, 100, ScaleAndCrop(500, 0.5, 2.0))
    assert (paper.averaging, paper.weight_decay, paper.warm_up, paper.patience) == (0, 0, 0, 0)
    assert modern.network == "dednet-compact"
    assert {paper.network, modern.network} <= set(NETWORKS)


class TestEstimate:
    def test_it_trains_nothing(self, job: TrainJob) -> None:
        reporter = SilentReporter()
        result = train(replace(job, estimate=True), reporter)
        assert result["stopped_by"] == "estimate"
        assert result["estimate"]["parameters"] == result["parameters"] > 0
        assert result["estimate"]["steps"] == 4
        assert not Path(job.output).exists()
        assert any("million parameters" in text for text in reporter.infos)
        assert summary("train", result)

    def test_the_network_is_as_it_was(self, job: TrainJob) -> None:
        first, _ = run(job)
        assert first["estimate"]["memory_gb"] > 0.9

    def test_too_little_memory_is_said(self, job: TrainJob, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(training_estimate, "free_memory", lambda: 1e8)
        _, warnings = run(replace(job, estimate=True))
        assert warnings == ["memory_short"]

    def test_larger_batches_need_more_memory(self, job: TrainJob) -> None:
        small, large = (run(replace(job, estimate=True, crop=256, batch_size=size))[0]["estimate"]["memory_gb"] for size in (2, 4))
        assert large > small


class TestWhatDoesNotFit:
    @pytest.mark.parametrize(
        ("train_kinds", "validation", "code"),
        [("", "+-", "no_samples"), ("+", "+-", "one_sample"), ("---", "+-", "no_rock_glaciers")],
    )
    def test_samples_that_nothing_can_be_learnt_from(
        self, job: TrainJob, tmp_path: Path, train_kinds: str, validation: str, code: str
    ) -> None:
        folder = sample_folder(tmp_path / "samples", train_kinds, validation)
        assert refusal(replace(job, samples=str(folder))).code == code
        assert not Path(job.output).exists()

    def test_nothing_but_rock_glacier(self, job: TrainJob, tmp_path: Path) -> None:
        folder = sample_folder(tmp_path / "samples", "++")
        table = (folder / "samples.csv").read_text().splitlines()
        columns = table[0].split(",")
        rows = [dict(zip(columns, line.split(","), strict=True)) for line in table[1:]]
        with open(folder / "samples.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows({**row, "rock_glacier": "0.9", "unknown": "0.1"} for row in rows)
        assert refusal(replace(job, samples=str(folder))).code == "no_background"

    @pytest.mark.parametrize(
        ("train_kinds", "validation", "warning"),
        [("+++", "+-", "all_positive"), ("++--", "", "no_validation"), ("++--", "--", "no_validation")],
    )
    def test_samples_that_tell_little(self, job: TrainJob, tmp_path: Path, train_kinds: str, validation: str, warning: str) -> None:
        folder = sample_folder(tmp_path / "samples", train_kinds, validation)
        result, warnings = run(replace(job, samples=str(folder), epochs=1))
        assert warnings == [warning]
        if warning == "no_validation":
            assert (result["threshold"], result["iou"], result["best_epoch"]) == (0.5, None, None)

    def test_fewer_samples_than_a_batch(self, job: TrainJob, tmp_path: Path) -> None:
        folder = sample_folder(tmp_path / "samples", "++-")
        _, warnings = run(replace(job, samples=str(folder), batch_size=8, epochs=1))
        assert warnings == ["batch_size"]

    def test_fewer_batches_than_a_step_takes(self, job: TrainJob) -> None:
        assert refusal(replace(job, accumulate=3)).code == "too_few_samples"

    def test_a_batch_of_one(self, job: TrainJob) -> None:
        assert refusal(replace(job, batch_size=1)).code == "batch_of_one"

    def test_bands_that_samples_do_not_have(self, job: TrainJob) -> None:
        wanted = 'bands=["red", "green", "blue", "elevation"]'
        error = refusal(replace(job, network_options=(*SMALL, wanted)))
        assert error.code == "bands_missing"
        assert "elevation" in error.text

    def test_without_near_infrared(self, job: TrainJob, tmp_path: Path) -> None:
        folder = sample_folder(tmp_path / "samples", nir=False)
        _, warnings = run(replace(job, samples=str(folder), epochs=1))
        assert warnings == ["no_nir"]
        assert read_trained(job.output).nir == "optional"
        bands = (*SMALL, 'bands=["nir", "evi", "savi"]')
        assert refusal(replace(job, samples=str(folder), network_options=bands, output=str(tmp_path / "other"))).code == "bands_missing"

    def test_what_sees_near_infrared_alone_learns_nothing_without(self, job: TrainJob, tmp_path: Path) -> None:
        folder = sample_folder(tmp_path / "samples", nir=False)
        task = prepared(
            replace(job, samples=str(folder), network="dednet-compact", network_options=()), read_samples(folder), SilentReporter()
        )
        assert {name.partition(".")[0] for name, value in task.network.named_parameters() if not value.requires_grad} == {
            "spectral_input",
            "spectral_encoder",
            "spectral_aspp",
        }
        norms = {name: module.training for name, module in task.network.named_modules() if isinstance(module, nn.BatchNorm2d)}
        assert all(trains != ("spectral" in name) for name, trains in norms.items())

    def test_unknown_pixels_are_taken_for_those_of_sentinel_2(self, job: TrainJob, tmp_path: Path) -> None:
        folder = sample_folder(tmp_path / "samples", pixel=None)
        _, warnings = run(replace(job, samples=str(folder), epochs=1))
        assert warnings == ["pixel_size"]
        assert read_trained(job.output).gsd_m == 10

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"network": "alexnet"}, "no network 'alexnet'"),
            ({"network_options": ("depth=3",)}, "depth"),
            ({"network_options": ("widths=wide",)}, "NAME=JSON"),
            ({"network_options": ('backbone="resnet0"',)}, "options"),
        ],
        ids=["network", "option", "json", "value"],
    )
    def test_a_network_that_there_is_not(self, job: TrainJob, changes: dict[str, Any], words: str) -> None:
        error = refusal(replace(job, **changes))
        assert error.code == "parameter"
        assert words in error.text

    def test_imagenet_weights_that_cannot_be_had(self, job: TrainJob, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_internet(*_: Any, **values: Any) -> None:
            if values.get("pretrained"):
                raise OSError("Name or service not known")
            return original(*_, **values)

        import timm  # noqa: PLC0415

        original = timm.create_model
        monkeypatch.setattr(timm, "create_model", no_internet)
        error = refusal(replace(job, start="imagenet", network_options=()))
        assert error.code == "pretrained_missing"
        assert "random" in error.text

    def test_a_file_that_holds_no_such_weights(self, job: TrainJob, tmp_path: Path) -> None:
        (tmp_path / "weights.pth").write_bytes(b"not weights")
        assert refusal(replace(job, start=str(tmp_path / "weights.pth"), network_options=())).code == "other_network"


class TestBatches:
    def of(self, folder: Path, change: Any = None, size: int = 3, **values: Any) -> SampleBatches:
        found = read_samples(folder)
        bands = values.pop("bands", ("red", "green", "blue", "nir", "evi", "savi"))
        return SampleBatches(found, found.of_split("train"), bands, 32, size, change or Augmentation(), 1, **values)

    def test_an_epoch_sees_each_sample_once_in_another_order(self, tmp_path: Path) -> None:
        batches = self.of(sample_folder(tmp_path / "samples", "++++--"), size=2)
        epochs = [[name for number in range(3) for name in batches.names(3 * epoch + number)] for epoch in range(3)]
        assert all(len(set(names)) == 6 for names in epochs)
        assert len({tuple(names) for names in epochs}) > 1

    def test_a_batch_is_of_seed_and_number_alone(self, samples: Path) -> None:
        one, other = self.of(samples, size=2), self.of(samples, size=2)
        other[0], other[1]
        for a, b in zip(one[5], other[5], strict=True):
            np.testing.assert_array_equal(a, b)
        assert not np.array_equal(one[5][0], one[6][0], equal_nan=True)

    @pytest.mark.parametrize("change", [Augmentation(holes=0, nir_absent=0), ScaleAndCrop(64)])
    def test_indices_are_those_of_the_changed_reflectance(self, samples: Path, change: Any) -> None:
        stack, truth, weight = self.of(samples, change)[0]
        red, _, blue, nir, evi, savi = stack.transpose(1, 0, 2, 3)
        seen = np.isfinite(savi)
        np.testing.assert_allclose(savi[seen], (1.5 * (nir - red) / (nir + red + 0.5)).clip(-1, 1)[seen], atol=1e-4)
        assert seen.any()
        assert set(np.unique(truth)) <= {0, 1}
        assert not weight[:, 0][~np.isfinite(red)].any()

    def test_unknown_and_unobserved_pixels_do_not_count(self, samples: Path) -> None:
        found = read_samples(samples)
        tiles = SampleTiles(found, found.of_split("validation"), ("red",), 64, 2)
        _, truth, weight = tiles[0]
        assert not weight[:, :, :4, :4].any()
        assert not weight[:, :, -3:].any()
        assert weight[:, :, 10:40, 10:40].all()
        assert truth.any()

    @pytest.mark.parametrize("side", [64, 48, 40, 32, 96])
    def test_each_pixel_of_a_sample_counts_once(self, samples: Path, side: int) -> None:
        found = read_samples(samples)
        tiles = SampleTiles(found, found.of_split("validation"), ("red",), side, 3)
        known = sum(int((found.read(row)[1][:-3] != 255).sum()) for row in found.of_split("validation"))
        assert sum(int(tiles[number][2].sum()) for number in range(len(tiles))) == known

    def test_the_bands_of_the_network(self, samples: Path) -> None:
        whole, some = self.of(samples), self.of(samples, bands=("nir", "red"))
        np.testing.assert_array_equal(whole[0][0][:, [3, 0]], some[0][0])


class TestScaleAndCrop:
    def test_what_lies_beyond_the_sample_is_not_observed(self) -> None:
        reflectance, truth = np.full((4, 40, 40), 0.5, np.float32), np.ones((40, 40), np.uint8)
        small = ScaleAndCrop(base=40, smallest=0.5, largest=0.5)
        bands, label = small(reflectance, truth, 32, np.random.default_rng(1))
        assert bands.shape == (4, 32, 32)
        seen = np.isfinite(bands[0])
        assert 0.35 < seen.mean() < 0.45  # 20 x 20 of 32 x 32 pixels
        assert bands[0][seen] == pytest.approx(0.5)
        assert label[seen].all()

    def test_larger_is_nearer(self) -> None:
        ramp = np.broadcast_to(np.arange(64, dtype=np.float32) / 64, (4, 64, 64))
        bands, _ = ScaleAndCrop(64, 2.0, 2.0)(ramp, np.zeros((64, 64), np.uint8), 64, np.random.default_rng(1))
        assert np.ptp(bands[0]) == pytest.approx(0.5, abs=0.02)

    def test_the_middle_is_the_whole_of_a_square(self) -> None:
        reflectance = np.random.default_rng(1).random((4, 50, 70)).astype(np.float32)
        truth = np.zeros((50, 70), np.uint8)
        truth[:, 10:60] = 1
        bands, label = ScaleAndCrop().middle(reflectance, truth, 25)
        assert label.all()
        assert bands[0].mean() == pytest.approx(reflectance[0, :, 10:60].mean(), abs=0.01)
