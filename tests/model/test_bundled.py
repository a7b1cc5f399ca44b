"""The model that ships: whole, small, and better than nothing."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from engine.card import ModelCard, find_model
from jobs import STACK_BANDS
from model.evaluation import predicted_scene
from model.samples import SimulatedScene
from model.simulator import LAND_COVER, simulate


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return find_model("dednet-compact")


def predict(card: ModelCard):
    session = onnxruntime.InferenceSession(card.network, providers=["CPUExecutionProvider"])
    bands = [STACK_BANDS.index(name) for name in card.bands]
    return lambda stack: session.run(["probability"], {"stack": stack[:, bands]})[0]


def test_folder_is_small_enough_to_ship(card) -> None:
    assert sum(file.stat().st_size for file in card.folder.iterdir()) < 20e6


def test_card_says_how_it_was_made_and_how_good_it_is(card) -> None:
    assert card.nir == "optional"
    assert (card.gsd_m, card.tile_px, card.overlap) == (10.0, 128, 50.0)
    training = card.document["training"]
    assert training["command"].startswith("python scripts/train_bundled_model.py")
    assert {"left_out_regions", "negatives", "simulated", "sikkim", "definitions"} <= set(card.document["scores"])
    for scenes in card.document["scores"]["simulated"].values():
        assert set(scenes["macro"]) == {"iou", "precision", "recall", "f1"}
    assert all(row["licence"] for row in card.document["training_data"])


def test_nothing_of_the_sikkim_chip_was_trained_on(card) -> None:
    assert not any("sikkim" in row["what"].lower() for row in card.document["training_data"])


@pytest.mark.parametrize("nir", [True, False], ids=["four bands", "rgb only"])
def test_it_prefers_rock_glaciers_of_a_scene_it_never_saw(card, nir) -> None:
    landscape = simulate(77, 256, 256)
    scene = SimulatedScene(landscape.reflectance.astype(np.float16), landscape.labels.astype(np.uint16), landscape.landcover)
    probability, truth = predicted_scene(predict(card), scene, card.tile_px, card.overlap, nir)
    assert truth.any()
    assert probability[truth].mean() > 4 * probability[~truth].mean()
    for name in ("lake", "snow", "forest"):
        cover = (landscape.landcover == LAND_COVER[name]) & ~truth
        assert not cover.any() or (probability[cover] >= card.threshold).mean() < 0.05


def test_nothing_observed_is_nothing_found(card) -> None:
    probability = predict(card)(np.full((1, 6, card.tile_px, card.tile_px), np.nan, np.float32))
    assert (probability < card.threshold).all()
