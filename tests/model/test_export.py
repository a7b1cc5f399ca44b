"""What is exported says the same as what was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from engine.card import find_model
from engine.errors import EngineError
from model.export import onnx_model, write_model_folder
from model.networks import BandStatistics, DEDNet, create_network

STATISTICS = BandStatistics((0.0, 0.01, 0.02, 0.03, -1.0, -0.9), (0.9, 0.95, 1.0, 1.1, 1.0, 0.9), (0.2, 0.2, 0.2, 0.3, 0.1, 0.1))


@pytest.fixture(scope="module")
def network() -> DEDNet:
    """Batch norms calibrated on one batch: with their starting values the logits overflow."""
    torch.manual_seed(1)
    network = create_network("dednet-compact", STATISTICS)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.rand(8, 6, 64, 64))
    return network.eval()


@pytest.fixture(scope="module")
def session(network: DEDNet, tmp_path_factory: pytest.TempPathFactory) -> onnxruntime.InferenceSession:
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    onnx.save(onnx_model(network), path)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def torch_probability(network: DEDNet, stack: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return torch.sigmoid(network(torch.from_numpy(stack))).numpy()


@pytest.mark.parametrize("shape", [(1, 6, 64, 96), (3, 6, 100, 133), (2, 6, 128, 128)])
@pytest.mark.parametrize("absent", ["nothing", "pixels", "nir"])
def test_onnxruntime_agrees_with_torch(network, session, shape, absent) -> None:
    stack = np.random.default_rng(2).random(shape, dtype=np.float32)
    if absent == "pixels":
        stack[:, :, 10:40, 20:30] = np.nan
        stack[0, 1, 0, 0] = np.inf
    if absent == "nir":
        stack[:, 3:] = np.nan
    probability = session.run(None, {"stack": stack})[0]
    assert probability.shape == (shape[0], 1, *shape[2:])
    assert probability.std() > 0.01
    assert np.abs(probability - torch_probability(network, stack)).max() < 1e-4


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, 1e30, -1e30])
def test_any_input_gives_a_probability(session, value) -> None:
    probability = session.run(None, {"stack": np.full((1, 6, 128, 128), value, np.float32)})[0]
    assert np.isfinite(probability).all()
    assert ((probability >= 0) & (probability <= 1)).all()


def test_network_reads_its_nir(session) -> None:
    stack = np.random.default_rng(3).random((1, 6, 64, 64), dtype=np.float32)
    without = stack.copy()
    without[:, 3:] = np.nan
    assert np.abs(session.run(None, {"stack": stack})[0] - session.run(None, {"stack": without})[0]).max() > 1e-3


def test_file_is_self_contained_and_says_what_it_takes(session) -> None:
    model = onnx.load(session._model_path, load_external_data=False)
    assert [(opset.domain, opset.version) for opset in model.opset_import if not opset.domain] == [("", 18)]
    assert not any(onnx.external_data_helper.uses_external_data(tensor) for tensor in model.graph.initializer)
    assert [(value.name, value.shape) for value in session.get_inputs()] == [("stack", ["batch", 6, "rows", "columns"])]
    assert [(value.name, value.shape) for value in session.get_outputs()] == [("probability", ["batch", 1, "rows", "columns"])]


def write(folder: Path, network: DEDNet, threshold: float = 0.4):
    return write_model_folder(
        folder,
        network,
        title="A test",
        version="0.0",
        gsd_m=10.0,
        tile_px=64,
        overlap=50.0,
        threshold=threshold,
        nir="optional",
        licence="GPL-2.0-or-later",
        network_name="dednet-compact",
        about={"limits": ["knows nothing"]},
    )


def test_model_folder_is_what_the_engine_reads(network, tmp_path) -> None:
    write(tmp_path / "a-test", network)
    card = find_model("a-test", [tmp_path])
    assert (card.name, card.tile_px, card.overlap, card.threshold, card.nir) == ("a-test", 64, 50.0, 0.4, "optional")
    assert card.bands == ("red", "green", "blue", "nir", "evi", "savi")
    assert card.document["limits"] == ["knows nothing"]
    assert card.document["normalisation"]["maximum"]["nir"] == pytest.approx(1.1)
    assert card.document["network"]["options"]["atrous_rates"] == [2, 4, 6]
    assert onnxruntime.InferenceSession(card.network, providers=["CPUExecutionProvider"]).get_modelmeta().custom_metadata_map == {
        "bands": "red,green,blue,nir,evi,savi",
        "gsd_m": "10",
        "tile_px": "64",
        "overlap": "50",
        "threshold": "0.4",
    }
    assert card.document["size_mb"] == pytest.approx(card.network.stat().st_size / 1e6, abs=1e-3)


def test_card_out_of_range_is_refused(network, tmp_path) -> None:
    with pytest.raises(EngineError) as refused:
        write(tmp_path / "a-test", network, threshold=1.5)
    assert refused.value.code == "model_card"
