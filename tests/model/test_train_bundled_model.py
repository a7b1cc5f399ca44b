"""The script that makes the model that ships, end to end on a handful of small chips."""

from __future__ import annotations

import csv
import importlib.util
import json
import multiprocessing
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from engine.card import read_card
from engine.errors import Cancelled
from engine.evaluate import evaluate
from engine.reporting import SilentReporter
from jobs import EvaluateNetworkJob
from model.trained_network import read_trained
from model.training import run_training

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train_bundled_model.py"
SIDE = 48


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("train_bundled_model", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Six chips of two regions with a bright square, eight without, in the layout of the real ones."""
    folder = tmp_path_factory.mktemp("data") / "chile_andes"
    rng = np.random.default_rng(1)
    for part in ("positive", "mask", "negative"):
        (folder / part).mkdir(parents=True)
    for number in range(14):
        image = rng.integers(40, 90, (SIDE, SIDE, 3), np.uint8)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        image[0, 0], image[0, 1] = 0, 255
        if number < 6:
            mask[10:30, 8:30] = 255
            image[mask > 0] += 80
            Image.fromarray(mask).save(folder / "mask" / f"{number:03d}.png")
        Image.fromarray(image).save(folder / ("positive" if number < 6 else "negative") / f"{number:03d}.png")
    with open(folder / "chips.csv", "w", newline="") as file:
        csv.writer(file).writerows([("chip", "region", "snow"), *((f"{i:03d}", "AB"[i % 2], 0.5 * (i > 3)) for i in range(6))])
    (folder / "overlaps.csv").write_text("chip_a,chip_b\n000,002\n")
    return folder.parent


@pytest.fixture(scope="module")
def made(script, data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    command = ["--data", data, "--work", folder / "work", "--output", folder / "unet-tiny", "--pictures", folder / "images"]
    script.main([*map(str, command), "--steps", "3", "--batch", "2", "0", "1", "--test-scenes", "0", "--seeds", "1", "2"])
    return folder


def test_the_model_runs_and_its_card_says_how_it_was_made(made, data) -> None:
    card = read_card(made / "unet-tiny")
    assert (card.bands, card.nir, card.tile_px) == (("red", "green", "blue"), "optional", 128)
    assert card.document["views"] == 8
    assert card.document["network"]["name"] == "unet-compact"
    assert card.document["normalisation"]["maximum"] == {"red": 0.3558, "green": 0.3558, "blue": 0.3558}
    assert card.document["calibration"]["temperature"] > 0
    training = card.document["training"]
    assert training["steps"] == 3
    assert training["command"].startswith(
        "python scripts/train_bundled_model.py --data DATA --work WORK --output OUTPUT --pictures PICTURES"
    )
    assert training["augmentation"]["cutmix"] == 0.3
    assert training["seeds"] == {"training": 1, "left_out_regions": [1, 2]}
    assert not any("simulated" in row["what"] for row in card.document["training_data"])
    place = data / "chile_andes"
    job = EvaluateNetworkJob(model=str(card.folder), images=str(place / "positive"), masks=str(place / "mask"))
    found = evaluate(job, SilentReporter())
    assert found["samples"]["positive"] == 6
    assert read_trained(card.folder).views == 8


def test_scores_are_those_of_regions_left_out(made) -> None:
    card = read_card(made / "unet-tiny")
    scores = card.document["scores"]
    left_out = scores["left_out_regions"]
    assert set(left_out) == {"mean", "A", "B", "spread"}
    assert set(left_out["spread"]) == {"1", "2"}
    assert left_out["A"]["low_snow_chips"]["chips"] == 2
    assert left_out["A"]["training"]["steps"] == 3
    assert 0 <= left_out["mean"]["low_snow_chips"]["expected_calibration_error"] <= 1
    assert scores["threshold"]["chosen"]["threshold"] == card.threshold
    assert {"iou", "negatives_marked"} <= set(scores["threshold"]["highest_iou"])
    assert scores["negatives"]["chips"] == 1


def test_pictures_are_small(made) -> None:
    sizes = {path.name: path.stat().st_size for path in (made / "images").iterdir()}
    assert set(sizes) == {"unet-tiny_best.png", "unet-tiny_worst.png"}
    assert max(sizes.values()) < 1e6


def test_the_same_command_again_trains_nothing_anew_and_another_is_refused(script, made, data, monkeypatch) -> None:
    before = {path: path.stat().st_mtime_ns for path in (made / "work").rglob("log.csv")}
    assert len(before) == 5
    steps = []
    monkeypatch.setattr(script, "run_training", lambda *given, **named: steps.append((r := run_training(*given, **named)).step) or r)
    same = ["--data", str(data), "--work", str(made / "work"), "--steps", "3", "--batch", "2", "0", "1", "--seeds", "1", "2"]
    script.main(same)
    assert steps == [3] * 5
    logs = [path.read_text() for path in before]
    assert all(len(text.splitlines()) == 4 for text in logs)
    with pytest.raises(Exception, match="another training"):
        script.main([*same, "--learning-rate", "0.5"])


def test_a_training_in_a_process_of_its_own_is_the_same(made, data, tmp_path) -> None:
    command = ["--data", data, "--work", tmp_path, "--steps", "3", "--batch", "2", "0", "1", "--fold", "A", "--processes", "2"]
    subprocess.run([sys.executable, SCRIPT, *map(str, command)], check=True)
    one, other = ((folder / "A" / "training.json", folder / "A" / "log.csv") for folder in (made / "work", tmp_path))
    assert json.loads(one[0].read_text())["network"] == json.loads(other[0].read_text())["network"]
    assert one[1].read_text() == other[1].read_text()


def test_a_training_in_a_process_of_its_own_ends_with_the_command(script, monkeypatch) -> None:
    reporter = script.LogReporter("A")
    reporter.check_cancelled()
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: SimpleNamespace(is_alive=lambda: False))
    with pytest.raises(Cancelled):
        reporter.check_cancelled()


def test_without_left_out_regions_nothing_is_written(script, data, tmp_path) -> None:
    work = ["--data", str(data), "--work", str(tmp_path / "work"), "--output", str(tmp_path / "model")]
    with pytest.raises(SystemExit, match="No region"):
        script.main([*work, "--fold", "all", "--steps", "2", "--batch", "2", "0", "1"])
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("given", "text"), [(["--fold", "Z"], "no region Z"), (["--batch", "2", "2", "2"], "simulated scenes")]
)  # fmt: skip
def test_impossible_commands_are_refused(script, data, tmp_path, capsys, given, text) -> None:
    with pytest.raises(SystemExit):
        script.main(["--data", str(data), "--work", str(tmp_path), *given])
    assert text in capsys.readouterr().err
