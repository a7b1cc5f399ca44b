"""A model folder comes back as the network that it was made of."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper

from engine.card import BUNDLED_MODELS, ModelCard
from engine.errors import EngineError
from model.export import half_precision, onnx_model, sha256
from model.model_folder import read_model_folder
from model.networks import Network
from model.networks.network import BandStatistics, MinMaxNormalisation
from tests.model import network_checks as checks

WIDTHS = (32, 16, 16, 8, 8)


@pytest.fixture(scope="module")
def network() -> Network:
    network = checks.settled(checks.network("unet", backbone="test_resnet", widths=WIDTHS))
    network.normalise = MinMaxNormalisation(BandStatistics(tuple(0.1 + 1e-7 * band for band in range(6)), (1 + 1 / 3,) * 6, (0.2,) * 6))
    return network


@pytest.fixture(scope="module")
def card(network: Network, tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return checks.exported(network, tmp_path_factory.mktemp("models") / "small", temperature=1.3)


def altered(card: ModelCard, folder: Path, model: onnx.ModelProto | None = None, **values: object) -> Path:
    """A copy of a model folder with other values in its card, or with another network."""
    shutil.copytree(card.folder, folder)
    if model is not None:
        onnx.save(model, folder / "model.onnx")
    document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    document.update({"sha256": sha256(folder / "model.onnx"), **values})
    (folder / "model.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(EngineError) as refused:
        read_model_folder(folder)
    assert refused.value.code == "not_trainable"
    return refused.value.text


def test_a_network_comes_back_exactly(network, card) -> None:
    back = read_model_folder(card.folder)
    assert checks.different(network, back.network) == []
    assert not back.network.training
    assert (back.name, back.gsd_m, back.tile_px, back.threshold, back.temperature, back.nir) == ("unet", 10.0, 64, 0.5, 1.3, "optional")
    assert back.about["licence"] == "GPL-2.0-or-later"
    assert back.about["from_model"]["sha256"] == card.sha256
    assert "normalisation" not in back.about


def test_it_can_be_trained_on(card) -> None:
    falling = checks.losses(read_model_folder(card.folder).network)
    assert falling[-1] < falling[0]


def optimised(card: ModelCard, folder: Path) -> Path:
    """What onnxruntime makes of a network when it loads it."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "loaded.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    onnxruntime.InferenceSession(card.network, options, providers=["CPUExecutionProvider"])
    return folder / "loaded.onnx"


def kinds(path: Path) -> Counter[str]:
    """How many nodes of each kind a network has."""
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def test_onnxruntime_folds_the_batch_norms_itself(card, tmp_path) -> None:
    exported, loaded = kinds(card.network), kinds(optimised(card, tmp_path))
    assert exported["BatchNormalization"] > 10
    assert loaded["BatchNormalization"] == 0
    assert loaded["Conv"] == exported["Conv"]


@pytest.mark.parametrize(("storage", "most"), [("fp16", 2e-3), ("int8", 0.1)])
def test_weights_in_fewer_bits_come_back_as_they_stand_in_the_file(network, card, storage, most, tmp_path) -> None:
    folder = tmp_path / storage
    shorter = checks.write(network, folder, storage=storage, model=onnx.load(card.network), temperature=1.3)
    assert shorter.document["storage"]["kind"] == storage
    assert shorter.network.stat().st_size < {"fp16": 0.6, "int8": 0.4}[storage] * card.network.stat().st_size
    back = read_model_folder(folder).network
    assert checks.disagreement(back, shorter, 1.3) < 1e-4
    assert kinds(optimised(shorter, tmp_path)) == kinds(optimised(card, tmp_path)), "onnxruntime should bring weights to float32 at once"
    state, state_back = network.state_dict(), back.state_dict()
    changed = checks.different(network, back)
    assert changed
    for name in changed:
        assert (state[name] - state_back[name]).abs().max() <= most * state[name].abs().max()


def test_what_computes_in_16_bits_comes_back(network, tmp_path) -> None:
    card = checks.write(network, tmp_path / "half", precision="fp16", model=onnx_model(half_precision(network), 64))
    assert {tensor.data_type for tensor in onnx.load(card.network).graph.initializer} >= {onnx.TensorProto.FLOAT16}
    assert checks.disagreement(network, card) < 0.02
    assert checks.disagreement(read_model_folder(card.folder).network, card) < 0.02


def test_the_bundled_network_comes_back_though_its_batch_norms_are_folded() -> None:
    folder = BUNDLED_MODELS / "dednet-compact"
    back = read_model_folder(folder)
    stack = np.random.default_rng(1).random((2, 6, 96, 128), dtype=np.float32)
    stack[0, 3:] = np.nan
    stack[1, :, :20] = np.nan
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    with torch.no_grad():
        given = torch.sigmoid(back.network(torch.from_numpy(stack)) / back.temperature).numpy()
    assert np.abs(given - session.run(None, {"stack": stack})[0]).max() < 1e-5
    assert {"training", "training_data", "limits", "licence"} <= set(back.about)


def test_a_model_made_by_others_is_refused(card, tmp_path) -> None:
    assert "not exported by this project" in refusal(altered(card, tmp_path / "a", network=None))
    assert "not exported by this project" in refusal(altered(card, tmp_path / "b", network={"name": "their-network", "options": {}}))


def test_a_network_with_options_of_another_version_is_refused(card, tmp_path) -> None:
    said = card.document["network"]
    assert "cannot build" in refusal(altered(card, tmp_path / "a", network={**said, "options": {**said["options"], "colour": "blue"}}))


def test_int8_is_refused_with_the_way_out(card, tmp_path) -> None:
    assert "fp32 version" in refusal(altered(card, tmp_path / "a", precision="int8"))


def test_a_file_that_computes_something_else_is_refused(card, tmp_path) -> None:
    model = onnx.load(card.network)
    (last,) = (node for node in model.graph.node if "probability" in node.output)
    last.output[0] = "before"
    model.graph.node.append(helper.make_node("Mul", ["before", "before"], ["probability"]))
    assert "something else" in refusal(altered(card, tmp_path / "a", model))
