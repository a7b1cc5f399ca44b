"""Packages that are here or not, and commands that need torch."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import model
from engine import cli, packages
from engine.commands import MODULES
from engine.errors import EngineError
from engine.packages import install_training_command, require_training_packages, training_state, unmet
from engine.reporting import SilentReporter
from jobs import ModelsJob

STUB = "model.stub_of_a_command"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The packages that are installed, to be changed; at first those that training needs."""
    found = {name: version for name, version, _ in unmet_anywhere(monkeypatch)}
    monkeypatch.setattr(packages, "_installed_version", found.get)
    return found


def unmet_anywhere(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str | None]]:
    with monkeypatch.context() as nothing:
        nothing.setattr(packages, "_installed_version", lambda name: None)
        return list(unmet(packages.wanted_requirements(packages.TRAINING_REQUIREMENTS)))


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A module in model/ that holds the command "models"."""
    monkeypatch.setattr(model, "__path__", [*model.__path__, str(tmp_path)])
    monkeypatch.setitem(MODULES, "models", STUB)
    monkeypatch.delitem(sys.modules, STUB, raising=False)
    path = tmp_path / f"{STUB.removeprefix('model.')}.py"
    path.write_text("def models(job, reporter):\n    return {'models': ['trained']}\n")
    yield path
    sys.modules.pop(STUB, None)


def run() -> dict[str, Any]:
    return cli.run_job(ModelsJob(), SilentReporter())


def test_unmet(installed: dict[str, str]) -> None:
    installed.update(pebble="1.0")
    assert list(unmet("pebble==1.0\n")) == []
    assert list(unmet("pebble==1.1\nboulder==2.0\n")) == [("pebble", "1.1", "1.0"), ("boulder", "2.0", None)]


class TestCommandsInModel:
    def test_run(self, stub: Path, installed: dict[str, str]) -> None:
        assert STUB not in sys.modules
        assert run() == {"models": ["trained"]}

    def test_without_torch_they_are_not_even_imported(self, stub: Path, installed: dict[str, str]) -> None:
        del installed["torch"], installed["timm"]
        with pytest.raises(EngineError, match="torch, timm not installed") as raised:
            run()
        assert raised.value.code == "training_missing"
        assert STUB not in sys.modules

    @pytest.mark.parametrize("words", ["Set up engine", "Also what training needs", "In a terminal: "])
    def test_the_way_to_mend_it_is_said(self, stub: Path, installed: dict[str, str], words: str) -> None:
        installed.clear()
        with pytest.raises(EngineError, match=words):
            run()

    def test_a_torch_that_cannot_be_loaded(self, stub: Path, installed: dict[str, str]) -> None:
        stub.write_text("raise ImportError('libcudart.so.13: cannot open shared object file')\n")
        with pytest.raises(EngineError, match=r"libcudart\.so\.13") as raised:
            run()
        assert raised.value.code == "training_missing"

    @pytest.mark.parametrize(
        ("line", "code", "traced"),
        [
            ("import model.module_that_nobody_wrote", "internal", True),
            ("from engine.errors import NoSuchError", "internal", True),
            ("from typing import NoSuchThing", "engine_incomplete", False),
        ],
    )
    def test_an_error_of_its_own_is_no_missing_package(
        self, stub: Path, installed: dict[str, str], capsys: pytest.CaptureFixture[str], line: str, code: str, traced: bool
    ) -> None:
        stub.write_text(f"{line}\n")
        with pytest.raises(ImportError) as raised:
            run()
        assert cli.explained(raised.value).code == code
        assert (line in capsys.readouterr().err) == traced

    def test_those_of_the_engine_ask_for_no_torch(self, installed: dict[str, str]) -> None:
        installed.clear()
        assert "models" in run()


def test_another_version_of_torch_passes(installed: dict[str, str]) -> None:
    installed["torch"] = "2.14.0"
    require_training_packages()


class TestTrainingState:
    def test_not_installed(self, installed: dict[str, str]) -> None:
        del installed["torch"]
        assert training_state() == {"state": "not installed", "device": None, "versions": {}}

    def test_half_of_it(self, installed: dict[str, str]) -> None:
        del installed["timm"]
        state = training_state()
        assert (state["state"], state["device"]) == ("timm not installed", None)
        assert "torch" in state["versions"] and "numpy" not in state["versions"]

    def test_torch_that_cannot_be_used(self, installed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(packages, "TRAINING_PROBE", "raise ImportError('no libcudart')")
        assert training_state()["state"] == "torch cannot be used: ImportError: no libcudart"

    def test_torch_that_crashes(self, installed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(packages, "TRAINING_PROBE", "import os; os._exit(7)")
        assert training_state()["state"] == "torch cannot be used: exit status 7"

    def test_torch_that_hangs(self, installed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(packages, "TRAINING_PROBE", "import time; time.sleep(30)")
        monkeypatch.setattr(packages, "PROBE_SECONDS", 0.2)
        assert "did not answer" in training_state()["state"]

    def test_the_real_one_computes(self, installed: dict[str, str]) -> None:
        pytest.importorskip("torch")
        state = training_state()
        assert state["state"] == "works" and state["device"]
        assert importlib.metadata.version("torch").startswith(state["versions"]["torch"])


def test_asking_keeps_torch_out_of_this_process() -> None:
    look = "import sys; from engine import packages; packages.training_state(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], check=False, cwd=Path(model.__path__[0]).parent).returncode == 0


@pytest.mark.parametrize("is_ours", [True, False])
def test_the_command_that_installs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_ours: bool) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    if is_ours:
        (tmp_path / packages.STAMP).touch()
    command = install_training_command()
    assert command.endswith("--training" if is_ours else "training.txt")
    assert ("environment.py" in command) == is_ours
