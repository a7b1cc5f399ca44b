"""The engine as a child process: what it says is passed on, and every way it can end is told in words."""

from __future__ import annotations

import ast
import json
import sys
import threading
from pathlib import Path

import pytest

from engine.environment import TRAINING_GB, wanted_requirements
from engine.places import models_folder, user_folder
from tests.plugin.samples import Listener


@pytest.fixture
def run_job(module):
    return module("processing_provider.engine_process").run_job


@pytest.fixture
def failed(module):
    return module("processing_provider.engine_process").EngineFailed


@pytest.fixture
def job(module, tmp_path):
    return module("jobs").PrepareJob(input="scène é.tif", output=str(tmp_path / "stack.tif"))


def test_messages_are_passed_on_and_the_result_is_returned(run_job, false_engine, job, tmp_path):
    false_engine()
    listener = Listener()
    assert run_job(job, listener)["count"] == 3
    assert listener.infos == ["auto: taken as Sentinel-2 L2A"]
    assert listener.warnings == ["A few pixels are brighter than 1."]
    assert listener.doing == ["Starting", "tile 1 of 3"]
    assert listener.progress() == 80.0
    assert json.loads((tmp_path / "job.json").read_text())["input"] == "scène é.tif"


@pytest.mark.parametrize("behaviour", ["garbage", "no_newline", "verbose"])
def test_a_result_is_found_among_other_lines(run_job, false_engine, job, behaviour):
    false_engine(behaviour)
    assert run_job(job, Listener())["device_used"] == "CPU"


def test_it_runs_in_a_worker_thread_without_an_event_loop(run_job, false_engine, job):
    false_engine()
    results = []
    thread = threading.Thread(target=lambda: results.append(run_job(job, Listener())))
    thread.start()
    thread.join(30)
    assert results[0]["count"] == 3


@pytest.mark.parametrize(
    ("behaviour", "code", "words"),
    [
        ("error", "no_crs", ["scene.tif has no coordinate reference system."]),
        ("killed", "engine_crashed", ["memory", "out of memory, probably"]),
        ("silent", "engine_crashed", ["exit status 3", "nobody expected this"]),
    ],
)
def test_failures_are_told_in_words(run_job, failed, false_engine, job, behaviour, code, words):
    false_engine(behaviour)
    with pytest.raises(failed) as caught:
        run_job(job, Listener())
    assert caught.value.code == code
    for word in words:
        assert word in caught.value.text


def test_cancel_closes_the_engines_input_and_waits_for_it(run_job, failed, false_engine, job, tmp_path):
    false_engine("slow")
    with pytest.raises(failed) as caught:
        run_job(job, Listener(cancel_at="Working"))
    assert caught.value.code == "cancelled"
    assert (tmp_path / "cancelled").exists()


def test_an_engine_that_ignores_cancel_is_ended(module, run_job, failed, false_engine, job, monkeypatch):
    process = module("processing_provider.engine_process")
    monkeypatch.setattr(process, "GRACE_MS", 100)
    monkeypatch.setattr(process, "TERMINATE_MS", 100)
    false_engine("deaf")
    with pytest.raises(failed) as caught:
        run_job(job, Listener(cancel_at="Working"))
    assert caught.value.code == "cancelled"


def test_cancelled_before_it_starts_the_engine_does_not_start(run_job, failed, false_engine, job, tmp_path):
    false_engine()
    listener = Listener()
    listener.cancel()
    with pytest.raises(failed) as caught:
        run_job(job, listener)
    assert caught.value.code == "cancelled"
    assert not (tmp_path / "job.json").exists()


def test_a_program_that_cannot_start(run_job, failed, false_engine, job, tmp_path):
    false_engine()
    (tmp_path / "false engine").chmod(0o644)
    with pytest.raises(failed) as caught:
        run_job(job, Listener())
    assert caught.value.code == "engine_start"


def test_the_engine_does_not_inherit_qgis_own_paths(run_job, false_engine, job, tmp_path, monkeypatch):
    monkeypatch.setenv("APPDIR", "/tmp/.mount_QGIS")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/tmp/.mount_QGIS/usr/lib:/opt/cuda/lib64")
    for name in ("PYTHONHOME", "PYTHONPATH", "PROJ_DATA", "PROJ_LIB", "GDAL_DATA", "GDAL_DRIVER_PATH"):
        monkeypatch.setenv(name, "/tmp/.mount_QGIS/share")
    false_engine()
    # the false engine's own Python does not start with a wrong PYTHONHOME: that it answers is half of the test
    run_job(job, Listener())
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["LD_LIBRARY_PATH"] == "/opt/cuda/lib64"
    assert not {"PYTHONHOME", "PYTHONPATH", "PROJ_DATA", "PROJ_LIB", "GDAL_DATA", "GDAL_DRIVER_PATH"} & set(environment)
    assert environment["PYTHONNOUSERSITE"] == environment["PYTHONUTF8"] == "1"


class TestEngineHome:
    """Where the engine is looked for, and what is said when it is not there."""

    def test_the_folder_is_the_engines_own(self, module, monkeypatch):
        home = module("processing_provider.engine_home")
        for data_home in (None, "/somewhere/else"):
            monkeypatch.setenv("XDG_DATA_HOME", data_home) if data_home else monkeypatch.delenv("XDG_DATA_HOME", raising=False)
            assert home.user_folder() == user_folder()
            assert home.models_folder() == models_folder()

    def test_missing(self, module, no_engine):
        home = module("processing_provider.engine_home")
        assert home.engine_state() is home.EngineState.MISSING
        assert "Set up engine" in home.what_to_do(home.EngineState.MISSING)
        assert "environment.py" in home.what_to_do(home.EngineState.MISSING)

    @pytest.mark.parametrize(("stamp", "state"), [(None, "OUTDATED"), ("numpy==1.0\n", "OUTDATED"), ("current", "READY")])
    def test_stamp(self, module, no_engine, stamp, state):
        home = module("processing_provider.engine_home")
        (no_engine / "bin").mkdir(parents=True)
        (no_engine / "bin" / "python").symlink_to(sys.executable)
        if stamp:
            (no_engine / "requirements.txt").write_text(home.REQUIREMENTS.read_text() if stamp == "current" else stamp)
        assert home.engine_state() is home.EngineState[state]

    @pytest.mark.parametrize(("stamp", "state"), [(None, "MISSING"), ("torch==1.0\n", "OUTDATED"), ("current", "READY")])
    def test_training_packages(self, module, no_engine, stamp, state):
        home = module("processing_provider.engine_home")
        no_engine.mkdir(parents=True)
        if stamp:
            current = wanted_requirements(home.TRAINING_REQUIREMENTS)
            (no_engine / "training.txt").write_text(current if stamp == "current" else stamp)
        assert home.training_state() is home.EngineState[state]

    def test_what_training_takes_is_said_alike_on_both_sides(self, module):
        assert module("processing_provider.engine_home").TRAINING_GB == TRAINING_GB

    def test_a_chosen_interpreter_is_taken_at_its_word(self, module, no_engine, false_engine):
        home = module("processing_provider.engine_home")
        false_engine()
        assert home.engine_state() is home.EngineState.READY
        home.engine_python().unlink()
        assert home.engine_state() is home.EngineState.MISSING
        assert "false engine" in home.what_to_do(home.EngineState.MISSING)

    def test_models_of_the_person_come_first(self, module, no_engine, monkeypatch, tmp_path):
        home = module("processing_provider.engine_home")
        monkeypatch.setattr(home, "BUNDLED_MODELS", tmp_path / "bundled")
        for folder, title in (
            (home.models_folder() / "mine", "Mine"),
            (tmp_path / "bundled" / "mine", "Theirs"),
            (tmp_path / "bundled" / "b", "B"),
        ):
            folder.mkdir(parents=True)
            (folder / "model.json").write_text(json.dumps({"title": title}))
        broken = home.models_folder() / "broken"
        broken.mkdir()
        (broken / "model.json").write_text("{")
        assert home.installed_models() == {"broken": "unreadable card", "mine": "Mine", "b": "B"}


def test_plugin_side_imports_neither_engine_nor_model_nor_wheels():
    """House rule: QGIS's process never loads the engine, and nothing but QGIS and the standard library."""
    root = Path(__file__).resolve().parents[2]
    files = [root / "plugin.py", root / "__init__.py", root / "jobs.py", *root.glob("processing_provider/*.py"), *root.glob("dialogs/*.py")]
    allowed = {"qgis", "processing", "jobs", *sys.stdlib_module_names}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            else:
                continue
            assert {name.split(".")[0] for name in names} <= allowed, file
