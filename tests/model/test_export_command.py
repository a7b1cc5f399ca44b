"""The command export: what it writes runs in Detect and says what the network says, or nothing is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from engine.card import read_card
from engine.errors import EngineError
from engine.reporting import SilentReporter
from engine.terminal import summary
from jobs import ExportNetworkJob
from model import export_command, parity
from model.checkpoints import write_checkpoint
from model.export_command import export
from model.model_folder import read_model_folder
from model.networks import Network
from model.trained_network import described
from tests.model import network_checks as checks
from tests.model.sample_folders import sample, sample_folder

WIDTHS = (16, 16, 8, 8, 8)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def network() -> Network:
    """It has learnt that what is bright is rock glacier."""
    network = checks.network("unet", backbone="test_resnet", widths=WIDTHS)
    checks.losses(network, steps=40)
    return checks.settled(network)


def between(network: Network) -> float:
    """The probability between rock glacier and background, on the samples it is tried on."""
    image, mask = sample(5)
    with torch.no_grad():
        probability = torch.sigmoid(network(torch.from_numpy(image[None])) / 1.2)[0, 0].numpy()
    return float(probability[mask == 1].mean() + probability[mask == 0].mean()) / 2


@pytest.fixture(scope="module")
def checkpoint(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("training") / "best.ckpt"
    description = {
        "network": described("unet", network),
        "settings": {"steps": 12},
        "gsd_m": 10.0,
        "tile_px": 64,
        "nir": "optional",
        "training": {"command": "rock-glacier train ...", "seed": 1},
        "training_data": [{"what": "two rectangles", "source": "a test", "licence": "CC0-1.0"}],
    }
    numbers = {"step": 12, "epoch": 1, "seconds": 1.0, "threshold": between(network), "temperature": 1.2}
    write_checkpoint(path, {"description": description, "weights": network.state_dict(), **numbers})
    return path


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_folder(tmp_path_factory.mktemp("given") / "samples", train="+++-", validation="++-")


@pytest.fixture(scope="module")
def exported(checkpoint: Path, samples: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Folder and result of each precision."""
    folder = tmp_path_factory.mktemp("models")
    jobs = {
        "fp32": ExportNetworkJob(str(checkpoint), str(folder / "fp32"), threshold=0.4, title="Mine", licence="CC-BY-4.0", version="2"),
        "fp16": ExportNetworkJob(str(checkpoint), str(folder / "fp16"), "fp16", str(samples)),
        "int8": ExportNetworkJob(str(checkpoint), str(folder / "int8"), "int8", str(samples)),
    }
    return {name: (Path(job.output), export(job, SilentReporter())) for name, job in jobs.items()}


def refusal(job: ExportNetworkJob) -> EngineError:
    with pytest.raises(EngineError) as refused:
        export(job, SilentReporter())
    assert not Path(job.output).exists() or not (Path(job.output) / "model.onnx").exists()
    assert not list(Path(job.output).parent.glob(".*.part"))
    return refused.value


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_what_is_written_ran_in_detect_and_agrees(exported, precision) -> None:
    folder, result = exported[precision]
    card = read_card(folder)
    said = card.document
    assert (said["precision"], said["opset"], said["name"]) == (precision, 18, precision)
    assert [(opset.domain, opset.version) for opset in onnx.load(card.network).opset_import if not opset.domain] == [("", 18)]
    (run,) = said["qualification"]["runs"]
    assert (run["device"], run["providers"], run["tile_px"], run["tiles"]) == ("CPU", ["CPUExecutionProvider"], 64, 4)
    assert said["qualification"]["runtime"] == f"onnxruntime {onnxruntime.__version__}"
    assert run["probability"][1] - run["probability"][0] > 0.01
    parity_said = said["qualification"]["parity"]
    assert parity_said == result["parity"]
    judged = parity_said["samples"] or parity_said["random"]
    limits = parity.LIMITS[precision]
    assert judged["flipped_share"] <= limits.flipped
    assert limits.difference is None or judged["largest_difference"] <= limits.difference
    assert summary("export", result).startswith(f"{folder}: {precision}")


def test_precisions_get_smaller(exported) -> None:
    sizes = {name: result["size_mb"] for name, (_, result) in exported.items()}
    assert sizes["int8"] < sizes["fp16"] < sizes["fp32"]


def test_int8_computes_in_8_bits_with_a_scale_for_each_channel(exported) -> None:
    model = onnx.load(exported["int8"][0] / "model.onnx")
    values = {tensor.name: tensor for tensor in model.graph.initializer}
    weights = [values[node.input[0]] for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in values]
    assert sum(tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 4 for tensor in weights) > 10
    assert any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    scales = [values[node.input[1]] for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in values]
    assert any(len(scale.dims) == 1 and scale.dims[0] > 1 for scale in scales)
    quantised = {name for node in model.graph.node if node.op_type == "QuantizeLinear" for name in node.input}
    assert "stack" not in quantised and "probability" not in quantised
    said = json.loads((exported["int8"][0] / "model.json").read_text(encoding="utf-8"))["computes_in"]["calibration"]
    assert said["method"] == exported["int8"][1]["calibrated_by"] and said["tiles"] == 4


def test_fp16_takes_and_gives_32_bits_and_normalises_in_them(exported) -> None:
    model = onnx.load(exported["fp16"][0] / "model.onnx")
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert kinds["network.normalise.minimum"] == onnx.TensorProto.FLOAT
    assert kinds["network.head.weight"] == onnx.TensorProto.FLOAT16
    ports = (*model.graph.input, *model.graph.output)
    assert {port.type.tensor_type.elem_type for port in ports} == {onnx.TensorProto.FLOAT}


def test_the_card_says_all_that_is_known(exported, checkpoint) -> None:
    card = read_card(exported["fp32"][0])
    said = card.document
    assert (card.title, card.licence, card.version, card.threshold) == ("Mine", "CC-BY-4.0", "2", 0.4)
    assert said["training"]["seed"] == 1 and said["training_data"][0]["licence"] == "CC0-1.0"
    assert said["calibration"]["temperature"] == 1.2
    assert said["scores"].startswith("unknown") and len(said["limits"]) > 2
    assert said["export"]["command"] == "rock-glacier export best.ckpt fp32 --threshold 0.4 --title Mine --licence CC-BY-4.0 --version 2"
    assert {"torch", "onnx", "onnxruntime"} <= set(said["export"]["versions"])
    judged = read_card(exported["fp16"][0])
    assert judged.threshold == torch.load(checkpoint, weights_only=True)["threshold"]
    assert judged.document["evaluation"]["inputs"]["samples"] == "samples"
    assert "iou" in judged.document["evaluation"]["definitions"]
    assert judged.document["evaluation"]["samples"]["all"] == exported["fp16"][1]["evaluated"] == 3
    assert (judged.folder / "worst.png").is_file() and (judged.folder / "best.png").is_file()


def test_it_comes_back(network, exported) -> None:
    back = read_model_folder(exported["fp32"][0])
    assert checks.different(network, back.network) == []
    assert back.about["training_data"][0]["what"] == "two rectangles"
    assert not {"qualification", "evaluation", "export", "computes_in"} & set(read_model_folder(exported["fp16"][0]).about)
    with pytest.raises(EngineError, match="int8"):
        read_model_folder(exported["int8"][0])


def test_a_forest_is_exported_in_fp32_alone(tmp_path) -> None:
    forest = checks.create_network("random_forest", checks.statistics(3), bands=("red", "green", "blue"), trees=5)
    stack, truth, weight = checks.batch(3)
    forest.fit([(stack, truth, weight)])
    checks.write(forest, tmp_path / "forest")
    result = export(ExportNetworkJob(str(tmp_path / "forest"), str(tmp_path / "again")), SilentReporter())
    assert result["parity"]["random"]["largest_difference"] <= 1e-4
    refused = refusal(ExportNetworkJob(str(tmp_path / "forest"), str(tmp_path / "half"), "fp16"))
    assert refused.code == "precision" and "fp32" in refused.text


def test_what_disagrees_is_refused(checkpoint, exported, tmp_path, monkeypatch) -> None:
    state = torch.load(checkpoint, weights_only=True)
    write_checkpoint(tmp_path / "other.ckpt", {**state, "temperature": 3.0})
    model = onnx.load(exported["fp32"][0] / "model.onnx")
    monkeypatch.setitem(export_command.MAKERS, "fp32", lambda *_: export_command.Made(model))
    refused = refusal(ExportNetworkJob(str(tmp_path / "other.ckpt"), str(tmp_path / "model")))
    assert refused.code == "parity" and "probabilities differ" in refused.text


def made_of(path: Path) -> Any:
    """A maker that gives a model that is there."""
    return lambda *_: export_command.Made(onnx.load(path / "model.onnx"))


def test_an_unsteady_network_may_differ_as_far_as_it_does_from_itself(checkpoint, exported, tmp_path, monkeypatch) -> None:
    """Its own float64 decides whether an fp32 export that differs by more than the limit is refused."""
    monkeypatch.setitem(export_command.MAKERS, "fp32", made_of(exported["fp32"][0]))
    monkeypatch.setitem(export_command.LIMITS, "fp32", replace(parity.LIMITS["fp32"], difference=1e-12))
    job = ExportNetworkJob(str(checkpoint), str(tmp_path / "model"))
    monkeypatch.setattr(export_command, "OWN_ROUNDING", 1000)
    assert export(job, SilentReporter())["parity"]["random"]["largest_difference"] > 1e-12
    monkeypatch.setattr(export_command, "OWN_ROUNDING", 0)
    assert refusal(replace(job, output=str(tmp_path / "other"))).code == "parity"


def test_a_model_that_says_something_of_nothing_is_refused(checkpoint, exported, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(export_command.MAKERS, "fp32", made_of(exported["fp32"][0]))
    stack_of = export_command._synthetic_stack

    def observed_everywhere(card: Any, side: int, collar: int) -> Any:
        return np.nan_to_num(stack_of(card, side, collar), nan=0.2)

    monkeypatch.setattr(export_command, "_synthetic_stack", observed_everywhere)
    refused = refusal(ExportNetworkJob(str(checkpoint), str(tmp_path / "model")))
    assert refused.code == "qualification" and "nothing was observed" in refused.text


def test_eight_views_are_exported_and_come_back(network, tmp_path) -> None:
    checks.write(network, tmp_path / "eight", views=8)
    result = export(ExportNetworkJob(str(tmp_path / "eight"), str(tmp_path / "again")), SilentReporter())
    assert result["parity"]["random"]["flipped_share"] <= parity.LIMITS["fp32"].flipped
    assert read_card(tmp_path / "again").document["views"] == read_model_folder(tmp_path / "again").views == 8


@pytest.mark.parametrize("bad", [0, 2, 9])
def test_more_is_left_in_float32_until_it_agrees(samples, monkeypatch, bad) -> None:
    """``bad`` choices of layers move too many pixels; where all do, the last one is held against the limits later."""
    asked, second = [], list(export_command.METHODS)[1]

    class Quantised:
        def __init__(self, *_: Any) -> None: ...

        def model(self, method: str, in_float: str) -> Any:
            asked.append((method, in_float))
            return in_float, method

    class Looked:
        def with_model(self, model: Any) -> Any:
            flipped = 0.5 if list(export_command.IN_FLOAT).index(model[0]) < bad else 0.001
            return parity.Agreement(0.1, flipped / (2 if model[1] == second else 1), 0.8, 0.8)

    monkeypatch.setattr(export_command, "Quantisation", Quantised)
    monkeypatch.setattr(export_command, "_exported", lambda *_: None)
    trained = export_command.TrainedNetwork(checks.network("unet", backbone="test_resnet", widths=WIDTHS), "unet", 10.0, 64)
    made = export_command._int8(trained, export_command.read_samples(samples), Looked(), SilentReporter())  # type: ignore[arg-type]
    steps = list(export_command.IN_FLOAT)
    chosen = steps[min(bad, len(steps) - 1)]
    assert asked == [(method, step) for step in steps[: min(bad, len(steps) - 1) + 1] for method in export_command.METHODS]
    assert made.model == (chosen, second)
    assert made.said["calibration"]["in_float32_too"] == (export_command.IN_FLOAT[chosen] or None)


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ("nothing there", "not_a_network"),
        ("damaged", "corrupt_checkpoint"),
        ("another network", "other_network"),
        ("pickle", "pickle_refused"),
        ("no samples", "not_samples"),
        ("none to train", "no_samples"),
        ("other files in the way", "output_folder"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(checkpoint, samples, tmp_path, case, code) -> None:
    job = ExportNetworkJob(str(checkpoint), str(tmp_path / "model"), "int8", str(samples))
    path = tmp_path / "other.ckpt"
    if case == "nothing there":
        job = replace(job, checkpoint=str(path))
    if case == "damaged":
        path.write_bytes(checkpoint.read_bytes()[:3000])
        job = replace(job, checkpoint=str(path))
    if case == "another network":
        state = torch.load(checkpoint, weights_only=True)
        write_checkpoint(path, {**state, "weights": {"head.weight": torch.zeros(1)}})
        job = replace(job, checkpoint=str(path))
    if case == "pickle":
        path.write_bytes(b"\x80\x04N.")
        job = replace(job, checkpoint=str(path))
    if case == "no samples":
        job = replace(job, samples=str(tmp_path))
    if case == "none to train":
        job = replace(job, samples=str(sample_folder(tmp_path / "samples", train="", validation="+-")))
    if case == "other files in the way":
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "thesis.docx").write_text("years of work")
    assert refusal(job).code == code


def test_what_the_network_itself_rounds_is_no_disagreement(network) -> None:
    plain = export_command.ProbabilityNetwork(network).eval()
    tiles = parity.random_tiles(network.normalise, 64)
    compared = export_command.Compared(tiles, parity.torch_look(plain), 0.5, SilentReporter())
    assert 0 < compared.with_look(parity.float64_look(plain)).difference < 1e-4


def test_agreement_counts_what_changes_sides() -> None:
    mask = np.array([[1, 1, 0, 255]], np.uint8)
    tiles = [parity.Tile(np.ones((3, 1, 4), np.float32), mask)]
    before, after = np.array([[0.9, 0.9, 0.2, 0.9]], np.float32), np.array([[0.9, 0.3, 0.2, 0.1]], np.float32)
    found = parity.agreement(tiles, [before], [after], 0.5)
    assert found == parity.Agreement(pytest.approx(0.8), 0.5, 1.0, 0.5)
    assert found.iou_loss == 0.5
    wrong = found.beyond(parity.LIMITS["int8"])
    assert "50.00 %" in wrong and "1.0000 to 0.5000" in wrong
    assert parity.Agreement(np.nan, 0.0).beyond(parity.LIMITS["int8"])
    assert not parity.Agreement(0.4, 0.01).beyond(parity.LIMITS["int8"])
