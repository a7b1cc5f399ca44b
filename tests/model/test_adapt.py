"""Adaptation on toys whose right outcome is known: what is chosen, what is held back, what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image, ImageDraw
from torch import nn

from engine.card import find_model, read_card
from engine.errors import EngineError
from engine.reporting import SilentReporter
from jobs import AdaptJob
from model import adapt as adapting
from model.adaptation_choice import Calibrated, Said, calibrated
from model.batch_norms import keep_batch_norms
from model.export import onnx_model
from model.model_folder import read_model_folder
from model.own_ground import OwnGround, clearness, read_own_ground
from model.shared_ground import shared_ground
from model.views import seen
from tests.engine.test_samples import outlines, square, stack
from tests.model import network_checks as checks

SIDE = 64
TRIANGLE = [(8, 50), (30, 6), (55, 40)]
HOOK = [(5, 5), (58, 10), (50, 30), (30, 22), (28, 60), (10, 58)]
SHAPES = (TRIANGLE, HOOK, [(4, 30), (40, 4), (60, 28), (34, 36), (56, 60), (12, 52)])


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small enough for a test."""
    torch.set_num_threads(1)
    for name, value in {"STEPS": 2, "SCENES": 1, "SCENE_PX": 128, "CHECKED_SCENES": 1, "CHECKED_WINDOWS": 2}.items():
        monkeypatch.setattr(adapting, name, value)


def polygon(corners: list[tuple[int, int]], side: int = SIDE) -> np.ndarray:
    picture = Image.new("L", (side, side))
    ImageDraw.Draw(picture).polygon(corners, fill=1)
    return np.asarray(picture, bool)


def chips(folder: Path, masks: list[np.ndarray], negatives: int = 0, bright: float = 150) -> AdaptJob:
    """Chips that are brighter where the mask is, and the job that adapts a model to them."""
    rng = np.random.default_rng(1)
    for name in ("images", "masks", *(["negatives"] if negatives else [])):
        (folder / name).mkdir(parents=True)

    def picture(mask: np.ndarray) -> Image.Image:
        values = rng.normal(70, 6, (*mask.shape, 3)) + bright * mask[..., None]
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))

    for number, mask in enumerate(masks):
        picture(mask).save(folder / "images" / f"{number}.png")
        Image.fromarray(mask.astype(np.uint8)).save(folder / "masks" / f"{number}.png")
    for number in range(negatives):
        picture(np.zeros((SIDE, SIDE), bool)).save(folder / "negatives" / f"{number}.png")
    without = str(folder / "negatives") if negatives else None
    return AdaptJob(images=str(folder / "images"), masks=str(folder / "masks"), negatives=without, output=str(folder / "own"))


@pytest.fixture(scope="module")
def model() -> Path:
    """The bundled model: its batch norms are folded into its convolutions."""
    return find_model("").folder


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What would have been written as a model folder: tracing takes long."""
    found: dict[str, Any] = {}

    def note(folder: Path, network: nn.Module, **values: Any) -> None:
        (folder / "model.json").write_text("{}")
        found.update(values, network=network)

    monkeypatch.setattr(adapting, "write_model_folder", note)
    return found


def ground(job: AdaptJob, folder: Path) -> OwnGround:
    folder.mkdir()
    return read_own_ground(job, 10.0, SIDE, folder, SilentReporter())


# which chips show the same ground


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_shifted_turned_mirrored_mask_shows_the_same_ground(turns: int, mirrored: bool) -> None:
    whole = np.zeros((90, 90), bool)
    whole[:SIDE, :SIDE] = polygon(HOOK)
    other = whole[10 : 10 + SIDE, 6 : 6 + SIDE]
    other = np.rot90(other[:, ::-1] if mirrored else other, turns)
    assert shared_ground([polygon(HOOK), other, polygon(TRIANGLE)]) == {(0, 1)}


def test_nothing_is_told_by_empty_masks() -> None:
    assert shared_ground([np.zeros((SIDE, SIDE), bool)] * 3) == set()


def test_what_is_held_back_shares_no_ground_with_what_is_trained_on(tmp_path: Path) -> None:
    own = ground(chips(tmp_path, [polygon(shape) for shape in (*SHAPES, HOOK)], negatives=4), tmp_path / "work")
    assert own.places == 3
    folds = own.folds(1)
    assert len(folds) == 3
    for kept, held in folds:
        assert not set(kept) & set(held)
        assert not {own.place[i] for i in kept if own.place[i] >= 0} & {own.place[i] for i in held}
    assert sorted(i for _, held in folds for i in held) == list(range(8))


def test_one_place_that_hangs_together_closely_holds_nothing_back(tmp_path: Path) -> None:
    assert ground(chips(tmp_path, [polygon(HOOK)] * 3), tmp_path / "work").folds(1) == []


def test_a_long_place_is_parted_and_its_middle_left_out(tmp_path: Path) -> None:
    own = ground(chips(tmp_path, [polygon(shape) for shape in (*SHAPES, HOOK)]), tmp_path / "work")
    chain = [frozenset({1}), frozenset({0, 2}), frozenset({1, 3}), frozenset({2})]
    long = dataclasses.replace(own, place=np.zeros(4, np.intp), neighbours=tuple(chain))
    folds = long.folds(1)
    assert len(folds) == 2
    for kept, held in folds:
        assert kept and held
        assert not any(chain[i] & set(held) for i in kept)


def test_snow_is_seldom_drawn(tmp_path: Path) -> None:
    white = ground(chips(tmp_path, [polygon(HOOK)], bright=250), tmp_path / "work").samples[0]
    assert white.snow == pytest.approx(float(polygon(HOOK).mean()), abs=0.1)
    assert clearness(dataclasses.replace(white, snow=0.5)) == pytest.approx(1 / 26)


# which candidate is taken


def said(shift: float, spread: float = 1.0) -> Said:
    """A right network whose logits are off by ``shift``."""
    rng = np.random.default_rng(0)
    truth = (rng.random(20_000) < 0.2).astype(np.float32)
    return Said((4 * truth - 2 + rng.normal(0, spread, truth.shape) + shift).astype(np.float32), truth)


def test_a_shifted_network_gets_its_threshold_back() -> None:
    right, shifted = said(0.0), said(-3.0)
    assert shifted.iou(1.0, 0.5) < 0.3
    found = calibrated(shifted, Calibrated(1.0, 0.5), places=40)
    assert found.threshold < 0.4
    assert found.iou > right.iou(1.0, 0.5) - 0.05


def test_what_was_forgotten_is_no_matter_of_the_threshold() -> None:
    assert said(-2.0).highest_iou() == pytest.approx(said(0.0).highest_iou(), abs=0.02)
    assert Said(np.full(10, -50, np.float32), np.zeros(10, np.float32)).highest_iou() == 0


def test_the_fewer_places_the_nearer_to_what_is_expected() -> None:
    shifted, expected = said(-3.0), Calibrated(1.0, 0.5)
    thresholds = [calibrated(shifted, expected, places).threshold for places in (1, 3, 10, 1000)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert 0.5 > thresholds[0] > thresholds[-1]
    assert calibrated(shifted, expected, 0).threshold == 0.5


def test_nothing_marked_rightly_keeps_what_is_expected() -> None:
    nothing = Said(np.full(10, -50, np.float32), np.zeros(10, np.float32))
    assert calibrated(nothing, Calibrated(2.0, 0.3), 3).threshold == 0.3


@pytest.mark.parametrize(
    ("old", "trained", "unchanged", "taken"),
    [(0.4, 0.5, 0.35, "adapted"), (0.4, 0.39, 0.35, "adapted"), (0.4, 0.3, 0.35, "recalibrated"), (0.3, 0.2, 0.35, "unchanged")],
)
def test_what_is_worse_on_held_back_outlines_is_not_taken(old: float, trained: float, unchanged: float, taken: str) -> None:
    def one(kind: str, iou: float) -> adapting.Candidate:
        return adapting.Candidate(kind, 8, SimpleNamespace(iou=iou))  # type: ignore[arg-type]

    assert adapting.best_of(one("recalibrated", old), one("adapted", trained), one("unchanged", unchanged)).kind == taken


# eight views, batch norms that stay


def test_eight_views_say_the_same_of_every_symmetry() -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(6, 1, 3, padding=1)
    stack = torch.rand(2, 6, 12, 16)
    logit = seen(network, stack)
    assert torch.allclose(seen(network, stack.flip(3)), logit.flip(3), atol=1e-6)
    assert torch.allclose(seen(network, stack.transpose(2, 3)), logit.transpose(2, 3), atol=1e-6)
    assert torch.equal(seen(network, stack, 1), network(stack))


def test_a_model_file_sees_in_eight_ways(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(6, 1, 3, padding=1)
    network.bands = ("red", "green", "blue", "nir", "evi", "savi")  # type: ignore[assignment]
    onnx.save(onnx_model(network, SIDE, temperature=2.0, views=8), tmp_path / "model.onnx")  # type: ignore[arg-type]
    stack = torch.rand(3, 6, 24, 40)
    found = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"stack": stack.numpy()})[0]
    assert np.allclose(found, torch.sigmoid(seen(network, stack) / 2).detach().numpy(), atol=1e-5)


def test_batch_norms_stay_as_they_are() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Dropout(0.5))
    keep_batch_norms(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()(torch.rand(4, 1, 8, 8) * 50)
    assert network[2].training
    assert not network[1].training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


# the command


def untrained(network: Any, *_: Any, **__: Any) -> Any:
    """A training without steps, of another network."""
    with torch.no_grad():
        network.decoder[-1].weight.mul_(-1)
    return SimpleNamespace(network=network, step=0)


def test_a_training_that_makes_it_worse_changes_no_weight(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: dict[str, Any]
) -> None:
    monkeypatch.setattr(adapting, "run_training", untrained)
    monkeypatch.setattr(adapting, "NOISE", -1.0)  # as if it were much worse
    job = dataclasses.replace(chips(tmp_path, [polygon(shape) for shape in SHAPES]), model=str(model), json=str(tmp_path / "own.json"))
    old = read_model_folder(model).network
    reporter = SilentReporter()
    result = adapting.adapt(job, reporter)
    assert result["chosen"] in ("recalibrated", "unchanged")
    assert result["is_worse"] is True
    assert "adapted_model_worse" in [code for code, _ in reporter.warnings]
    assert result["blend"] == 0
    assert result["folds"] == 3
    assert checks.different(old, written["network"]) == []
    ious = {name: result["held_back"][name]["rock_glacier"]["iou"] or 0 for name in ("before", "after", "trained")}
    assert ious["after"] >= ious["before"]
    assert written["about"]["adaptation"]["adapted_from"]["sha256"] == read_card(model).sha256
    assert json.loads((tmp_path / "own.json").read_text())["held_back"]["before"]["rock_glacier"]


def test_one_place_is_adapted_and_says_that_nobody_checked(model: Path, tmp_path: Path, written: dict[str, Any]) -> None:
    job = dataclasses.replace(chips(tmp_path, [polygon(HOOK)], negatives=1), model=str(model))
    reporter = SilentReporter()
    old = read_model_folder(model).network
    result = adapting.adapt(job, reporter)
    assert result["chosen"] == "adapted"
    assert result["steps"] == 2
    assert result["is_worse"] is None
    assert result["held_back"] is None
    assert "adapted_model_unchecked" in [code for code, _ in reporter.warnings]
    assert result["views"] == {"before": 1, "after": 8}
    changed = checks.different(old, written["network"])
    assert changed
    assert not [name for name in changed if "spectral" in name or "running" in name]


def test_a_worse_outcome_is_told() -> None:
    figure = {"rock_glacier": {"iou": 0.3}}
    result = {"held_back": dict.fromkeys(("trained", "before", "after"), figure), "is_worse": True, "chosen": "unchanged"}
    reporter = SilentReporter()
    adapting._tell({**result, "simulated": {"before": 0.5, "after": 0.5}}, reporter)
    adapting._tell({**result, "is_worse": False, "simulated": {"before": 0.5, "after": 0.3}}, reporter)
    assert [code for code, _ in reporter.warnings] == ["adapted_model_worse", "adapted_model_forgot"]


@pytest.mark.parametrize(
    ("masks", "code"),
    [
        ([np.zeros((SIDE, SIDE), bool)], "no_rock_glaciers"),
        ([np.ones((SIDE, SIDE), bool)], "all_rock_glacier"),
    ],
)
def test_masks_that_teach_nothing_are_refused(masks: list[np.ndarray], code: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError) as error:
        ground(chips(tmp_path, masks), tmp_path / "work")
    assert error.value.code == code


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    job = chips(tmp_path, [polygon(HOOK)])
    Image.new("L", (32, 32), 1).save(tmp_path / "masks" / "0.png")
    with pytest.raises(EngineError) as error:
        ground(job, tmp_path / "work")
    assert error.value.code == "mask_size"


def test_the_old_model_is_never_replaced(model: Path, tmp_path: Path) -> None:
    job = dataclasses.replace(chips(tmp_path, [polygon(HOOK)]), model=str(model), output=str(model))
    with pytest.raises(EngineError) as error:
        adapting.adapt(job, SilentReporter())
    assert error.value.code == "output_is_input"
    assert read_card(model)


def test_a_place_is_told_by_overlaps_csv(tmp_path: Path) -> None:
    job = chips(tmp_path, [polygon(shape) for shape in SHAPES])
    (tmp_path / "images" / "overlaps.csv").write_text("chip_a,chip_b\n0,2\n")
    own = ground(job, tmp_path / "work")
    assert own.place.tolist() == [0, 1, 0]


def on_stack(folder: Path, shapes: list[Any], status: list[str]) -> AdaptJob:
    path = outlines(folder / "outlines.gpkg", shapes, status=status)
    return AdaptJob(stacks=(stack(folder / "stack.tif", 400, 400),), outlines=path)


def test_what_a_review_says_is_learnt(tmp_path: Path) -> None:
    shapes = [square(40, 40, 20), square(330, 330, 30), square(330, 60, 20), square(75, 40, 10)]
    own = ground(on_stack(tmp_path, shapes, ["accepted", "added", "rejected", "unreviewed"]), tmp_path / "work")
    assert own.places == 2
    assert own.has_nir
    first = next(one for one in own.samples if one.row.status == "accepted")
    assert {0, 1, 255} == set(np.unique(first.mask))
    rejected = next(one for one in own.samples if one.row.status == "rejected")
    assert not rejected.is_positive
    assert len(own.folds(1)) == 2


def test_outlines_beside_the_imagery_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as error:
        ground(on_stack(tmp_path, [square(4000, 4000, 20)], ["accepted"]), tmp_path / "work")
    assert error.value.code == "outside_imagery"
