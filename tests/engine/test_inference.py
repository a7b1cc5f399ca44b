from __future__ import annotations

import numpy as np
import onnx
import pytest

from engine import inference
from engine.card import read_card
from engine.errors import EngineError
from engine.inference import Network, cuda_problem, open_network
from engine.reporting import SilentReporter
from tests.engine import networks


def opened(folder, network, device="cpu", batch_size=0, **changes):
    return open_network(read_card(networks.write_model(folder / "model", network, **changes)), device, batch_size, SilentReporter())


def tiles(count, seed=0, side=networks.TILE):
    return np.random.default_rng(seed).random((count, 6, side, side)).astype(np.float32)


def test_answers_are_those_of_the_network(tmp_path):
    network = opened(tmp_path, networks.pointwise())
    stack = tiles(3)
    stack[1, 0, 4, 5] = np.nan
    expected = np.clip((np.nan_to_num(stack[:, 0]) - 0.2) * 4, 0, 1)
    assert network.run(stack) == pytest.approx(expected, abs=1e-6)
    assert network.device == "CPU"
    assert network.seconds > 0


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
def test_answers_do_not_depend_on_the_batch_size(tmp_path, batch_size):
    stack = tiles(7)
    one_by_one = opened(tmp_path / "a", networks.convolutions(), batch_size=7).run(stack)
    assert one_by_one.std() > 0.05
    assert np.array_equal(opened(tmp_path / "b", networks.convolutions(), batch_size=batch_size).run(stack), one_by_one)


@pytest.mark.parametrize("value", [pytest.param(float("nan"), id="not a number"), pytest.param(float("inf"), id="infinite"), 1.5, -0.5])
def test_what_is_no_probability_is_refused(tmp_path, value):
    with pytest.raises(EngineError) as caught:
        opened(tmp_path, networks.constant(value)).run(tiles(1))
    assert caught.value.code == "model_output"


def test_answer_of_another_size_is_refused(tmp_path):
    with pytest.raises(EngineError, match="do not belong together") as caught:
        opened(tmp_path, networks.every_other_row()).run(tiles(1))
    assert caught.value.code == "model_card"


@pytest.mark.parametrize(
    ("network", "changes"),
    [
        pytest.param(networks.without_probability(), {}, id="output of another name"),
        pytest.param(networks.pointwise(), {"bands": ["red", "green", "blue"]}, id="other number of bands than the card"),
    ],
)
def test_network_that_does_not_fit_its_card_is_refused(tmp_path, network, changes):
    with pytest.raises(EngineError) as caught:
        opened(tmp_path, network, **changes)
    assert caught.value.code == "model_card"


def test_network_of_another_tile_size_is_refused(tmp_path):
    network = networks.pointwise()
    for dimension in (2, 3):
        network.graph.input[0].type.tensor_type.shape.dim[dimension].dim_value = 64
    with pytest.raises(EngineError) as caught:
        opened(tmp_path, network, tile_px=32)
    assert caught.value.code == "model_card"


def test_file_that_is_no_network_is_refused(tmp_path):
    class Rubbish:
        def SerializeToString(self):  # noqa: N802 the name of onnx
            return b"no network at all"

    with pytest.raises(EngineError) as caught:
        opened(tmp_path, Rubbish())
    assert caught.value.code == "model_damaged"


def test_operator_that_the_engine_does_not_know_is_refused(tmp_path):
    network = networks.pointwise()
    network.graph.node.append(onnx.helper.make_node("Divination", ["stack"], ["future"]))
    with pytest.raises(EngineError) as caught:
        opened(tmp_path, network)
    assert caught.value.code == "model_damaged"


class SmallMemory:
    """Stands for a session on a device that holds so many tiles."""

    def __init__(self, capacity: int, words: str = "Failed to allocate memory for requested buffer of size 4") -> None:
        self.capacity, self.words, self.sizes = capacity, words, []

    def run(self, names, feeds):
        batch = feeds["stack"]
        self.sizes.append(len(batch))
        if len(batch) > self.capacity:
            raise RuntimeError(self.words)
        return [batch[:, :1]]


@pytest.fixture
def card(tmp_path):
    return read_card(networks.write_model(tmp_path / "model", networks.pointwise()))


def test_batch_is_halved_until_it_fits_and_nothing_is_lost(card):
    reporter = SilentReporter()
    network = Network(SmallMemory(2), card, "CPU", 8, reporter)
    stack = tiles(5)
    assert np.array_equal(network.run(stack), stack[:, 0])
    assert network.batch_size == 2
    assert network.session.sizes == [5, 4, 2, 2, 1]
    assert {code for code, _ in reporter.warnings} == {"out_of_memory"}


def test_one_tile_too_many_is_an_error(card):
    with pytest.raises(EngineError) as caught:
        Network(SmallMemory(0), card, "CUDA", 2, SilentReporter()).run(tiles(2))
    assert caught.value.code == "out_of_memory"


def test_other_failures_are_told(card):
    with pytest.raises(EngineError, match="illegal instruction") as caught:
        Network(SmallMemory(0, "illegal instruction"), card, "CUDA", 2, SilentReporter()).run(tiles(2))
    assert caught.value.code == "network_failed"


def test_last_batch_is_filled_up_on_cuda_alone(card):
    for device, sizes in (("CUDA", [4, 4]), ("CPU", [4, 1])):
        network = Network(SmallMemory(8), card, device, 4, SilentReporter())
        stack = tiles(5)
        assert np.array_equal(network.run(stack), stack[:, 0])
        assert network.session.sizes == sizes


needs_no_cuda = pytest.mark.skipif(inference.driver_cuda_version() is not None, reason="this machine has an NVIDIA driver")


@needs_no_cuda
def test_cuda_that_does_not_work_is_an_error_that_says_what_to_install(tmp_path, capfd):
    with pytest.raises(EngineError, match="no NVIDIA driver.*--cuda yes|without CUDA.*--cuda yes") as caught:
        opened(tmp_path, networks.pointwise(), device="cuda")
    assert caught.value.code == "no_cuda"
    assert capfd.readouterr() == ("", "")


@needs_no_cuda
def test_auto_takes_the_cpu_and_says_why(card):
    reporter = SilentReporter()
    network = open_network(card, "auto", 0, reporter)
    assert (network.device, network.batch_size) == ("CPU", inference.BATCH_ON_CPU)
    assert reporter.infos == [f"The network runs on the CPU: {cuda_problem()}"]


def test_driver_without_libraries_is_found_out_quietly(card, monkeypatch, capfd):
    """The provider is listed, the driver claims to be there, and yet no session can be had."""
    if inference.driver_cuda_version() is not None or inference.CUDA not in inference.onnxruntime.get_available_providers():
        pytest.skip("needs onnxruntime-gpu on a machine without an NVIDIA driver")
    monkeypatch.setattr(inference, "driver_cuda_version", lambda: (99, 0))
    with pytest.raises(EngineError, match="--cuda yes") as caught:
        open_network(card, "cuda", 0, SilentReporter())
    assert caught.value.code == "no_cuda"
    assert open_network(card, "auto", 0, SilentReporter()).device == "CPU"
    assert capfd.readouterr() == ("", "")


def test_old_driver_is_told(monkeypatch):
    monkeypatch.setattr(inference, "driver_cuda_version", lambda: (11, 8))
    monkeypatch.setattr(inference.onnxruntime, "get_available_providers", lambda: [inference.CUDA])
    assert "11.8" in cuda_problem()
    assert "Update the driver" in cuda_problem()
