"""What works here, and what is missing."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from engine import card as card_module
from engine import doctor as doctor_module
from engine.doctor import doctor, models, square_network
from engine.reporting import SilentReporter
from engine.terminal import plain, summary
from jobs import DoctorJob, ModelsJob
from tests.engine.test_card import model_folder


@pytest.fixture(autouse=True)
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(card_module, "BUNDLED_MODELS", tmp_path / "bundled")
    return model_folder(tmp_path / "bundled", "compact").parent


@pytest.fixture(autouse=True)
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch takes seconds to answer; tests of its own ask it."""
    training(monkeypatch, "not installed", None)


def training(monkeypatch: pytest.MonkeyPatch, state: str, device: str | None, **versions: str) -> None:
    monkeypatch.setattr(doctor_module, "training_state", lambda: {"state": state, "device": device, "versions": versions})


def examined(**parameters: Any) -> dict[str, Any]:
    return doctor(DoctorJob(**parameters), SilentReporter())


def problems(**parameters: Any) -> str:
    return " ".join(f"{problem['text']} {problem['mend']}" for problem in examined(**parameters)["problems"])


def test_the_network_written_by_hand_is_valid_onnx() -> None:
    onnx.checker.check_model(onnx.load_from_string(square_network()))


def test_the_network_written_by_hand_computes_a_square() -> None:
    session = onnxruntime.InferenceSession(square_network(), providers=["CPUExecutionProvider"])
    (squared,) = session.run(None, {"x": np.full((1, 1, 1, 1), -1.5, np.float32)})
    assert squared.item() == 2.25


def test_versions_are_those_of_the_packages() -> None:
    versions = examined()["versions"]
    for name in ("numpy", "rasterio", "shapely", "pyproj", "pyogrio"):
        assert versions[name] == importlib.metadata.version(name)
    assert {"Rock Glacier Mapper", "Python", "GDAL", "GEOS", "PROJ", "onnxruntime"} <= set(versions)


def test_the_cpu_works_because_a_network_ran_on_it() -> None:
    assert examined()["providers"]["CPU"] == "works"


def test_a_provider_in_the_list_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_module, "square_network", lambda: b"no network")
    providers = examined()["providers"]
    assert providers["CPU"] != "works"
    assert "No network can be run" in problems()


def test_a_gpu_whose_driver_is_there_but_cannot_be_used_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_module, "driver_cuda_version", lambda: (13, 0))
    monkeypatch.setattr(doctor_module, "_cuda_state", lambda: "cuDNN is missing.")
    assert "cuDNN is missing" in problems()
    assert "environment.py --cuda yes" in problems()


def test_no_gpu_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_module, "driver_cuda_version", lambda: None)
    result = examined()
    assert result["gpu"] == "no NVIDIA driver"
    assert not [problem for problem in result["problems"] if "GPU" in problem["text"]]


class TestTraining:
    def test_not_installed_is_no_problem(self) -> None:
        assert "train" not in problems()
        assert "training              not installed" in summary("doctor", examined())

    def test_works(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor_module, "driver_cuda_version", lambda: None)
        monkeypatch.setattr(doctor_module, "unmet", lambda text: iter(()))
        training(monkeypatch, "works", "CPU", torch="2.15.0")
        assert "train" not in problems()
        assert "training              works on CPU" in summary("doctor", examined())
        assert "torch                 2.15.0" in summary("doctor", examined())

    def test_torch_that_cannot_be_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        training(monkeypatch, "torch cannot be used: libcudart.so.13 is missing", None, torch="2.15.0")
        assert "libcudart.so.13 is missing" in problems()
        assert "training.txt" in problems() or "--training" in problems()

    def test_another_version(self, monkeypatch: pytest.MonkeyPatch) -> None:
        training(monkeypatch, "works", "CPU", torch="1.0")
        monkeypatch.setattr(doctor_module, "unmet", lambda text: iter([("torch", "2.15.0", "1.0")]))
        assert "torch should be 2.15.0 for training; 1.0 is installed." in problems()

    def test_a_gpu_that_torch_cannot_use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor_module, "driver_cuda_version", lambda: (12, 0))
        monkeypatch.setattr(doctor_module, "unmet", lambda text: iter(()))
        training(monkeypatch, "works", "CPU", torch="2.15.0")
        assert "trained on the CPU" in problems()


@pytest.mark.parametrize(
    ("requirements", "said"),
    [
        ("numpy==0.1\n", "numpy should be 0.1"),
        ("no-such-package==1.0\n", "it is not installed"),
        ('onnxruntime-gpu[cuda,cudnn]==0.1; sys_platform != "plan9"\n', "onnxruntime-gpu should be 0.1"),
    ],
)
def test_unmet_requirements_come_with_the_command_that_mends_them(monkeypatch: pytest.MonkeyPatch, requirements: str, said: str) -> None:
    monkeypatch.setattr(doctor_module, "wanted_requirements", lambda: requirements)
    assert said in problems()
    assert "-m pip install -r" in problems()


@pytest.mark.parametrize("requirements", ["", 'no-such-package==1.0; sys_platform == "plan9"\n', "# numpy\n"])
def test_requirements_that_do_not_apply(monkeypatch: pytest.MonkeyPatch, requirements: str) -> None:
    monkeypatch.setattr(doctor_module, "wanted_requirements", lambda: requirements)
    assert "should be" not in problems()


def test_a_package_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str:
        raise ImportError("libgeos is missing")

    monkeypatch.setitem(doctor_module.VERSIONS, "shapely", broken)
    assert "libgeos is missing" in examined()["versions"]["shapely"]
    assert "shapely cannot be loaded" in problems()


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(".")._replace(free=100_000_000)
    monkeypatch.setattr(doctor_module.shutil, "disk_usage", lambda place: usage)
    assert "Only 0.1 GB are free" in problems()


class TestModels:
    def test_a_model_that_is_ready(self) -> None:
        (model,) = models(ModelsJob(), SilentReporter())["models"]
        assert (model["name"], model["state"], model["gsd_m"], model["nir"]) == ("compact", "ready", 10.0, "optional")

    def test_a_damaged_model_is_listed_with_what_is_wrong(self, bundled: Path) -> None:
        (bundled / "compact" / "model.onnx").write_bytes(b"another network")
        (model,) = models(ModelsJob(), SilentReporter())["models"]
        assert "sha256" in model["state"]
        assert "The model compact cannot be used" in problems()

    def test_the_models_of_the_person(self, tmp_path: Path) -> None:
        model_folder(tmp_path / "mine", "big")
        names = [model["name"] for model in models(ModelsJob((str(tmp_path / "mine"),)), SilentReporter())["models"]]
        assert names == ["big", "compact"]

    def test_no_model_at_all(self, bundled: Path) -> None:
        shutil.rmtree(bundled)
        assert models(ModelsJob(), SilentReporter()) == {"models": []}
        assert "no bundled model" in problems()


def test_the_report_reads_as_text_and_as_json(bundled: Path) -> None:
    model_folder(bundled, "broken", threshold=2)
    result = examined()
    text = summary("doctor", result)
    assert "provider CPU" in text
    assert "compact" in text
    assert all(problem["text"] in text for problem in result["problems"])
    assert plain(result) == result
