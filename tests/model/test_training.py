"""Training: it learns, it stops on nonsense, and an interruption changes nothing."""

from __future__ import annotations

import csv
import errno
import io
import json
import pickle
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.errors import Cancelled, EngineError
from engine.reporting import SilentReporter
from model import checkpoints
from model.checkpoints import read_checkpoint
from model.losses import LOSSES, cross_entropy, dice_loss, tversky_loss
from model.networks import create_network
from model.training import Hardware, TrainingResult, TrainingSettings, run_training
from tests.model.tiny_network import ABOUT, STATISTICS, Tiny
from tests.model.train_slowly import train
from tests.model.training_batches import Endless, InEpochs, LeftHalf, Nothing

SETTINGS = TrainingSettings(steps=9, checkpoint_seconds=0)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def tiny(batch_norm: bool = True) -> Tiny:
    torch.manual_seed(1)
    return Tiny(batch_norm)


def run(folder: Path, batches: Any = None, settings: TrainingSettings = SETTINGS, **values: Any) -> TrainingResult:
    network = values.pop("network", None) or tiny()
    about = {**ABOUT, **values.pop("about", {})}
    values = {"reporter": SilentReporter(), "hardware": Hardware("cpu"), **values}
    return run_training(network, batches or Endless(), settings, folder, about=about, **values)


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def steps_in(folder: Path) -> list[int]:
    return [int(row["step"]) for row in rows_of(folder / "log.csv")]


def losses_in(folder: Path) -> list[float]:
    return [float(row["loss"]) for row in rows_of(folder / "log.csv")]


def without_seconds(folder: Path) -> list[dict[str, str]]:
    return [{**row, "seconds": ""} for row in rows_of(folder / "epochs.csv")]


def same(a: Path, b: Path, name: str = "last.ckpt") -> None:
    """Two trainings ended alike, bit for bit."""
    one, other = (torch.load(folder / "checkpoints" / name, weights_only=True) for folder in (a, b))
    for states in (("weights",), ("course", "network")):
        first, second = one, other
        for key in states:
            first, second = first.get(key, {}), second.get(key, {})
        for key, value in first.items():
            assert torch.equal(value, second[key]), (states, key)
    assert (a / "log.csv").read_bytes() == (b / "log.csv").read_bytes()
    assert without_seconds(a) == without_seconds(b)


def test_dednet_learns_a_batch(tmp_path) -> None:
    torch.manual_seed(1)
    network = create_network("dednet-compact", STATISTICS, pretrained=True)
    settings = TrainingSettings(steps=12, learning_rate=3e-3, warm_up=0.0)
    run(tmp_path, Endless(same=True), settings, network=network, about={"name": "dednet-compact"})
    losses = losses_in(tmp_path)
    assert len(losses) == 12
    assert min(losses[-3:]) < 0.7 * losses[0]


class TestGoingOn:
    @pytest.mark.parametrize("validation", [None, InEpochs()], ids=["unvalidated", "validated"])
    def test_an_interrupted_training_ends_like_an_uninterrupted_one(self, tmp_path, validation) -> None:
        whole = run(tmp_path / "whole", InEpochs(), validation=validation)
        with pytest.raises(ZeroDivisionError):
            run(tmp_path / "broken", InEpochs(breaks_at=6), validation=validation)
        assert read_checkpoint(tmp_path / "broken" / "checkpoints" / "last.ckpt")["step"] in (5, 6)
        again = run(tmp_path / "broken", InEpochs(), validation=validation)
        assert (whole.step, whole.epoch, whole.stopped_by) == (again.step, again.epoch, again.stopped_by) == (9, 3, "steps")
        assert steps_in(tmp_path / "broken") == list(range(1, 10))
        same(tmp_path / "whole", tmp_path / "broken")
        same(tmp_path / "whole", tmp_path / "broken", "best.ckpt")

    def test_rows_after_the_last_checkpoint_are_not_logged_twice(self, tmp_path) -> None:
        with pytest.raises(ZeroDivisionError):
            run(tmp_path, Endless(breaks_at=5))
        with open(tmp_path / "log.csv", "a", newline="") as file:
            file.write("7,1,1e-3,0.5\n8,1,1e-")
        run(tmp_path)
        assert steps_in(tmp_path) == list(range(1, 10))

    def test_a_finished_training_does_nothing_more(self, tmp_path) -> None:
        first = run(tmp_path)
        again = run(tmp_path, Endless(breaks_at=1))
        assert (again.step, again.stopped_by) == (first.step, "steps")
        assert torch.equal(again.network.state_dict()["head.weight"], first.network.state_dict()["head.weight"])

    @pytest.mark.parametrize(
        "change",
        [{"settings": replace(SETTINGS, steps=3)}, {"about": {"samples": "others"}}, {"about": {"gsd_m": 4.0}}],
        ids=["settings", "samples", "pixels"],
    )
    def test_another_training_in_the_folder_is_not_continued(self, tmp_path, change) -> None:
        run(tmp_path)
        with pytest.raises(EngineError) as refused:
            run(tmp_path, **change)
        assert refused.value.code == "other_training"

    def test_what_the_card_is_told_may_change(self, tmp_path) -> None:
        run(tmp_path)
        run(tmp_path, about={"training": {"command": "another"}})

    def test_a_cancelled_training_is_saved_and_goes_on(self, tmp_path) -> None:
        class Impatient(SilentReporter):
            def check_cancelled(self) -> None:
                if (tmp_path / "log.csv").is_file() and len(steps_in(tmp_path)) >= 1:
                    raise Cancelled

        run(tmp_path / "whole")
        with pytest.raises(Cancelled, match="goes on") as cancelled:
            run(tmp_path, settings=replace(SETTINGS, checkpoint_seconds=600), reporter=Impatient())
        assert cancelled.value.code == "cancelled"
        assert read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")["step"] < 9
        run(tmp_path, settings=replace(SETTINGS, checkpoint_seconds=600))
        same(tmp_path / "whole", tmp_path)


class TestCheckpoints:
    def test_killed_it_ends_as_if_nothing_had_been(self, tmp_path) -> None:
        """kill -9 in the middle of the second epoch, and again; the same weights and log, bit for bit."""
        train(tmp_path / "whole", 16, InEpochs())
        folder = tmp_path / "killed"
        for steps in (5, 9):
            process = subprocess.Popen([sys.executable, Path(__file__).with_name("train_slowly.py"), folder, "16"])
            while not (folder / "log.csv").is_file() or len(steps_in(folder)) < steps:
                assert process.poll() is None
                time.sleep(0.02)
            process.kill()
            process.wait()
            assert read_checkpoint(folder / "checkpoints" / "last.ckpt")["step"] < 16
        result = train(folder, 16, InEpochs())
        assert result.step == 16
        same(tmp_path / "whole", folder)
        same(tmp_path / "whole", folder, "best.ckpt")

    def test_a_full_disk_leaves_the_last_one(self, tmp_path, monkeypatch) -> None:
        with pytest.raises(ZeroDivisionError):
            run(tmp_path, Endless(breaks_at=6))
        before = (tmp_path / "checkpoints" / "last.ckpt").read_bytes()
        size = len(before) // 2

        class Full(io.BufferedWriter):
            def write(self, data: Any) -> int:
                if self.tell() + len(data) > size:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return super().write(data)

        def opened(path: Path, mode: str) -> Any:
            return Full(io.FileIO(path, mode)) if "w" in mode else path.open(mode)

        monkeypatch.setattr(checkpoints, "open", opened, raising=False)
        with pytest.raises(EngineError) as full:
            run(tmp_path)
        assert full.value.code == "disk_full"
        assert (tmp_path / "checkpoints" / "last.ckpt").read_bytes() == before
        monkeypatch.undo()
        run(tmp_path)

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            (pickle.dumps({"weights": 1}), "pickle_refused"),
            ("zipped", "pickle_refused"),
            (b"", "corrupt_checkpoint"),
            (bytes(100), "corrupt_checkpoint"),
            (b"II*\0 a picture", "not_a_network"),
            ("weights", "not_a_network"),
            ("flipped", "corrupt_checkpoint"),
        ],
        ids=["pickle", "pickle in a zip", "empty", "zeros", "picture", "weights alone", "a bit flipped"],
    )
    def test_what_is_no_checkpoint(self, tmp_path, content, code) -> None:
        path = tmp_path / "a.ckpt"
        if content == "zipped":
            torch.save({"format": 1, "description": {}, "weights": Path("x")}, path)
        elif content == "weights":
            torch.save({"weight": torch.ones(3)}, path)
        elif content == "flipped":
            torch.save({"format": 1, "description": {}, "weights": {"a": torch.arange(10_000)}}, path)
            damaged = bytearray(path.read_bytes())
            damaged[len(damaged) // 2] ^= 1
            path.write_bytes(damaged)
        else:
            path.write_bytes(content)
        with pytest.raises(EngineError) as refused:
            read_checkpoint(path)
        assert refused.value.code == code

    def test_the_previous_one_stands_in_for_a_damaged_one(self, tmp_path) -> None:
        run(tmp_path / "whole")
        with pytest.raises(ZeroDivisionError):
            run(tmp_path / "broken", Endless(breaks_at=6))
        last = tmp_path / "broken" / "checkpoints" / "last.ckpt"
        last.write_bytes(last.read_bytes()[:-100])
        reporter = SilentReporter()
        run(tmp_path / "broken", reporter=reporter)
        assert [code for code, _ in reporter.warnings] == ["corrupt_checkpoint"]
        same(tmp_path / "whole", tmp_path / "broken")

    def test_where_both_are_damaged_it_says_so(self, tmp_path) -> None:
        with pytest.raises(ZeroDivisionError):
            run(tmp_path, Endless(breaks_at=6))
        for name in ("last.ckpt", "previous.ckpt"):
            (tmp_path / "checkpoints" / name).write_bytes(b"PK\x03\x04 and no more")
        with pytest.raises(EngineError) as refused:
            run(tmp_path)
        assert refused.value.code == "corrupt_checkpoint"

    @pytest.mark.parametrize(
        ("other", "code"),
        [({"settings": replace(SETTINGS, learning_rate=1e-4)}, "other_training"), ({"about": {"name": "another"}}, "other_network")],
    )
    def test_that_of_another_training_is_refused(self, tmp_path, other, code) -> None:
        run(tmp_path / "other", **other)
        with pytest.raises(ZeroDivisionError):
            run(tmp_path / "own", Endless(breaks_at=6))
        shutil.copy(tmp_path / "other" / "checkpoints" / "last.ckpt", tmp_path / "own" / "checkpoints" / "last.ckpt")
        with pytest.raises(EngineError) as refused:
            run(tmp_path / "own")
        assert refused.value.code == code


class TestHardware:
    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
    @pytest.mark.parametrize(
        ("hardware", "code"), [(Hardware("cuda"), "no_cuda"), (Hardware("cpu", precision="16"), "precision")], ids=["cuda", "16 bit"]
    )
    def test_what_is_not_there(self, tmp_path, hardware, code) -> None:
        with pytest.raises(EngineError) as refused:
            run(tmp_path / "training", hardware=hardware)
        assert refused.value.code == code
        assert not (tmp_path / "training").exists()

    def test_bfloat16_on_the_cpu(self, tmp_path) -> None:
        run(tmp_path, hardware=Hardware("cpu", precision="bf16"))
        assert all(0 < loss < 3 for loss in losses_in(tmp_path))


class TestEnds:
    def test_minutes_end_a_training(self, tmp_path) -> None:
        result = run(tmp_path, settings=TrainingSettings(minutes=0.0005))
        assert result.stopped_by == "minutes"
        assert result.seconds >= 0.03

    def test_whichever_ends_first(self, tmp_path) -> None:
        assert run(tmp_path, settings=TrainingSettings(steps=3, minutes=60)).stopped_by == "steps"

    def test_patience_ends_it_and_the_best_epoch_is_the_network(self, tmp_path) -> None:
        settings = replace(SETTINGS, steps=80, patience=2, learning_rate=0.0, averaging=0.0)
        result = run(tmp_path, InEpochs(), settings, validation=InEpochs(), network=tiny(batch_norm=False))
        assert (result.stopped_by, result.epoch) == ("patience", 3)
        assert result.best is not None
        assert result.best["epoch"] == 1
        assert [row["best"] for row in rows_of(tmp_path / "epochs.csv")] == ["1", "0", "0"]

    def test_a_loss_that_is_no_number_stops_it_names_the_samples_and_leaves_the_checkpoint_sound(self, tmp_path) -> None:
        with pytest.raises(EngineError) as stopped:
            run(tmp_path, Endless(spoilt_at=4))
        assert stopped.value.code == "loss_not_finite"
        assert "step 5" in stopped.value.text
        assert "sample-4." in stopped.value.text
        kept = read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
        assert kept["step"] == 4
        assert all(torch.isfinite(value).all() for value in kept["weights"].values())

    def test_a_gpu_that_is_too_small_is_said(self, tmp_path, monkeypatch) -> None:
        def full(*_: Any) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

        monkeypatch.setattr(Tiny, "forward", full)
        with pytest.raises(EngineError) as stopped:
            run(tmp_path)
        assert stopped.value.code == "gpu_memory"
        assert "batch size" in stopped.value.text

    def test_neither_steps_nor_minutes(self) -> None:
        with pytest.raises(ValueError, match="steps or the minutes"):
            TrainingSettings()

    def test_batch_norm_needs_two_samples(self, tmp_path) -> None:
        with pytest.raises(EngineError) as refused:
            run(tmp_path, Endless(size=1))
        assert refused.value.code == "batch_of_one"
        run(tmp_path, Endless(size=1), network=tiny(batch_norm=False))


class TestTheSameAgain:
    def test_the_same_seed_gives_the_same_first_ten_losses(self, tmp_path) -> None:
        settings = TrainingSettings(steps=10)
        run(tmp_path / "a", settings=settings)
        run(tmp_path / "b", settings=settings)
        run(tmp_path / "c", settings=replace(settings, seed=2))
        assert losses_in(tmp_path / "a") == losses_in(tmp_path / "b") != losses_in(tmp_path / "c")

    def test_who_loads_the_batches_does_not_matter(self, tmp_path) -> None:
        run(tmp_path / "a", InEpochs())
        run(tmp_path / "b", InEpochs(), hardware=Hardware("cpu", workers=2))
        same(tmp_path / "a", tmp_path / "b")

    def test_two_processes_see_what_one_sees_in_twice_as_many_batches(self, tmp_path) -> None:
        """Without batch norm and dropout, a step of two processes is a step of one that accumulates two batches."""
        settings = replace(SETTINGS, steps=4, loss="dice+cross_entropy")
        network = tiny(batch_norm=False)
        network.encoder[3].p = 0.0
        run(tmp_path / "two", InEpochs(), settings, network=network, hardware=Hardware("cpu", gpus=2), validation=InEpochs())
        other = tiny(batch_norm=False)
        other.encoder[3].p = 0.0
        run(tmp_path / "one", InEpochs(), replace(settings, accumulate=2), network=other, validation=InEpochs())
        np.testing.assert_allclose(losses_in(tmp_path / "two"), losses_in(tmp_path / "one"), rtol=1e-4)
        one, two = ([float(row["iou"]) for row in rows_of(tmp_path / name / "epochs.csv")] for name in ("one", "two"))
        np.testing.assert_allclose(one, two, atol=0.01)


class TestWhatItTells:
    def test_the_tables_and_the_curves(self, tmp_path) -> None:
        run(tmp_path, InEpochs(), validation=InEpochs(), tensorboard=True)
        log, epochs = rows_of(tmp_path / "log.csv"), rows_of(tmp_path / "epochs.csv")
        assert list(log[0]) == ["step", "epoch", "learning_rate", "loss"]
        assert [row["epoch"] for row in log] == list("111122223")
        assert [row["step"] for row in epochs] == ["4", "8", "9"]
        assert all(0 <= float(row[name]) <= 1 for row in epochs for name in ("iou", "f1", "precision", "recall"))
        mean = sum(float(row["loss"]) for row in log[:4]) / 4
        assert float(epochs[0]["loss"]) == pytest.approx(mean, rel=1e-4)
        assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
        assert list((tmp_path / "tensorboard").iterdir())
        assert json.loads((tmp_path / "training.json").read_text())["settings"]["steps"] == 9

    def test_what_does_not_count_counts_in_no_figure(self, tmp_path) -> None:
        """Half of each validation sample does not count; what its truth says there changes nothing."""
        for truth in (0, 1):
            run(tmp_path / str(truth), InEpochs(), replace(SETTINGS, steps=4), validation=LeftHalf(truth))
        assert without_seconds(tmp_path / "0") == without_seconds(tmp_path / "1")

    def test_without_rock_glaciers_in_validation_there_is_no_score(self, tmp_path) -> None:
        result = run(tmp_path, InEpochs(), validation=Nothing())
        assert result.best is None
        assert {row["iou"] for row in rows_of(tmp_path / "epochs.csv")} == {""}


def pixels(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, 1, -1)


def test_dice_by_hand() -> None:
    """One pixel right, one wrongly marked, one missed; 1 is added above and below the line."""
    loss = dice_loss(pixels(40, 40, -40, -40), pixels(1, 0, 1, 0), pixels(1, 1, 1, 1))
    assert loss.item() == pytest.approx(1 - (1 + 1) / (1 + 0.5 + 0.5 + 1))


def test_tversky_minds_misses_more() -> None:
    missing = tversky_loss(pixels(-40, -40), pixels(1, 0), pixels(1, 1), missed=0.7)
    marking = tversky_loss(pixels(40, 40), pixels(1, 0), pixels(1, 1), missed=0.7)
    assert missing > marking


def test_cross_entropy_by_hand() -> None:
    assert cross_entropy(pixels(0, 0), pixels(1, 0), pixels(1, 1)).item() == pytest.approx(np.log(2))


@pytest.mark.parametrize("name", LOSSES)
def test_what_has_no_weight_counts_in_no_loss(name) -> None:
    loss = LOSSES[name]
    weight = pixels(1, 1, 0)
    assert loss(pixels(2, -1, 30), pixels(1, 0, 0), weight) == loss(pixels(2, -1, -30), pixels(1, 0, 1), weight)


@pytest.mark.parametrize("name", LOSSES)
def test_a_right_answer_costs_nothing_and_gradients_are_finite(name) -> None:
    logit = pixels(40, -40, -40).requires_grad_()
    loss = LOSSES[name](logit, pixels(1, 0, 0), pixels(1, 1, 1))
    loss.backward()
    assert loss.item() < 1e-3
    assert torch.isfinite(logit.grad).all()
