"""The engine as a program: messages, exit statuses, cancelling, and what a person sees."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import typing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.cli import _parser, explained
from engine.commands import ABOUT, HELP, MODULES
from engine.terminal import SUMMARIES, plain
from jobs import JOB_TYPES, PrepareJob, to_json
from tests.engine.processes import ROOT, Answer, engine_process, run_job
from tests.engine.scenes import mountains, write_raster


@pytest.fixture
def scene(tmp_path: Path) -> str:
    return write_raster(tmp_path / "scene.tif", mountains())


@pytest.fixture
def long_job(tmp_path: Path) -> PrepareJob:
    """Takes many seconds when nobody cancels it."""
    return PrepareJob(write_raster(tmp_path / "scene.tif", mountains(400, 400)), str(tmp_path / "stack.tif"), resolution=1.0)


def for_person(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(ROOT / "engine"), *arguments], check=False, capture_output=True, text=True, cwd="/")


class TestMessages:
    def test_a_job_ends_with_its_result(self, scene: str, tmp_path: Path) -> None:
        answer = run_job(PrepareJob(scene, str(tmp_path / "stack.tif")))
        assert answer.status == 0
        assert answer.messages[0] == {"type": "progress", "percent": 0.0, "text": "Starting"}
        assert answer.last["type"] == "result"
        assert answer.last["result"]["output"] == str(tmp_path / "stack.tif")
        percents = [message["percent"] for message in answer.of_type("progress")]
        assert percents == sorted(percents)
        assert percents[-1] == 100.0
        assert answer.of_type("info")
        assert not answer.error

    def test_a_warning_has_a_code(self, tmp_path: Path) -> None:
        scene = write_raster(tmp_path / "scene.tif", np.zeros((4, 5, 5), np.uint16))
        answer = run_job(PrepareJob(scene, str(tmp_path / "stack.tif")))
        assert [message["code"] for message in answer.of_type("warning")] == ["nothing_observed"]

    def test_an_error_is_the_last_line(self, tmp_path: Path) -> None:
        answer = run_job(PrepareJob(str(tmp_path / "none.tif"), str(tmp_path / "stack.tif")))
        assert answer.status == 1
        assert answer.last["type"] == "error"
        assert answer.last["code"] == "file_missing"

    def test_values_are_checked_before_any_work(self, scene: str, tmp_path: Path) -> None:
        answer = run_job(PrepareJob(scene, str(tmp_path / "stack.tif"), red=0))
        assert answer.last["code"] == "parameter"
        assert len(answer.messages) == 2

    @pytest.mark.parametrize("line", ["", "prepare", '{"protocol": 99}', "\\xff"])
    def test_a_line_that_is_no_job(self, line: str) -> None:
        answer = run_job(line)
        assert answer.status == 1
        assert answer.last["code"] == "job"

    def test_no_line_at_all(self) -> None:
        process = engine_process("run")
        output, error = process.communicate("", timeout=60)
        assert Answer(process.returncode, output, error).last["code"] == "job"

    def test_arguments_give_the_same_answer_as_a_job(self, scene: str, tmp_path: Path) -> None:
        done = for_person("prepare", scene, str(tmp_path / "stack.tif"), "--nir", "0", "--json")
        answer = Answer(done.returncode, done.stdout, done.stderr)
        assert answer.last["result"] == run_job(PrepareJob(scene, str(tmp_path / "stack.tif"), nir=0)).last["result"]

    def test_a_path_of_any_language(self, tmp_path: Path) -> None:
        folder = tmp_path / "岩石冰川 größer"
        folder.mkdir()
        answer = run_job(PrepareJob(write_raster(folder / "scene.tif", mountains()), str(folder / "stack.tif")))
        assert answer.last["result"]["output"] == str(folder / "stack.tif")

    def test_nothing_heavy_is_imported_before_the_first_message(self) -> None:
        look = "import engine.cli, sys; print([m for m in ('numpy', 'rasterio', 'onnxruntime', 'shapely') if m in sys.modules])"
        done = subprocess.run([sys.executable, "-c", look], check=True, capture_output=True, text=True, cwd=ROOT)
        assert done.stdout.strip() == "[]"


class TestCancelling:
    @staticmethod
    def check(process: subprocess.Popen[str], output: str, folder: Path) -> None:
        assert process.stderr
        answer = Answer(process.wait(60), output, process.stderr.read())
        assert answer.status == 130
        assert answer.last["code"] == "cancelled"
        assert sorted(path.name for path in folder.iterdir()) == ["scene.tif"]

    def test_the_end_of_standard_input_before_the_work(self, long_job: PrepareJob, tmp_path: Path) -> None:
        process = engine_process("run")
        assert process.stdin and process.stdout
        process.stdin.write(to_json(long_job) + "\n")
        process.stdin.close()
        self.check(process, process.stdout.read(), tmp_path)

    @pytest.mark.parametrize(
        "cancel",
        [
            pytest.param(lambda process: process.stdin.close(), id="end of standard input"),
            pytest.param(lambda process: process.send_signal(signal.SIGINT), id="Ctrl-C"),
            pytest.param(lambda process: process.terminate(), id="terminate"),
        ],
    )
    def test_during_the_work(self, long_job: PrepareJob, tmp_path: Path, cancel: Callable[[subprocess.Popen[str]], None]) -> None:
        if os.name == "nt" and cancel.__code__.co_names != ("stdin", "close"):
            pytest.skip("Windows has no signals")
        process = engine_process("run")
        assert process.stdin and process.stdout
        process.stdin.write(to_json(long_job) + "\n")
        process.stdin.flush()
        lines = []
        for line in process.stdout:
            lines.append(line)
            if json.loads(line).get("text") == "Writing the stack":
                break
        cancel(process)
        self.check(process, "".join(lines) + process.stdout.read(), tmp_path)

    def test_a_listener_that_is_gone(self, long_job: PrepareJob, tmp_path: Path) -> None:
        process = engine_process("run")
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(to_json(long_job) + "\n")
        process.stdin.flush()
        process.stdout.close()
        assert process.wait(60) == 130
        assert sorted(path.name for path in tmp_path.iterdir()) == ["scene.tif"]


class TestForAPerson:
    def test_a_summary_on_standard_output_and_notes_on_standard_error(self, scene: str, tmp_path: Path) -> None:
        done = for_person("prepare", scene, str(tmp_path / "stack.tif"))
        assert done.returncode == 0
        assert done.stdout.splitlines()[0] == f"{tmp_path / 'stack.tif'}: 10 m, EPSG:32645, 100.0 % observed"
        assert "Reflectance of scene.tif" in done.stderr

    def test_an_error_in_one_line(self, tmp_path: Path) -> None:
        done = for_person("prepare", str(tmp_path / "none.tif"), str(tmp_path / "stack.tif"))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"Error: There is no file {tmp_path / 'none.tif'}.\n"

    @pytest.mark.parametrize(
        "arguments",
        [(), ("dance",), ("prepare",), ("prepare", "a", "b", "--red", "x"), ("prepare", "a", "b", "--sensor", "x"), ("run", "x")],
        ids=" ".join,
    )
    def test_wrong_usage(self, arguments: tuple[str, ...]) -> None:
        done = for_person(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "usage: rock-glacier" in done.stderr

    def test_the_chatter_of_libraries_stays_away(self, tmp_path: Path) -> None:
        path = Path(write_raster(tmp_path / "scene.tif", (mountains(300, 300) * 1e4).astype(np.uint16)))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        done = for_person("prepare", str(path), str(tmp_path / "stack.tif"))
        assert done.stderr.startswith("Error: ")
        assert len(done.stderr.splitlines()) == 1

    def test_models_and_doctor_speak(self) -> None:
        assert for_person("models").stdout.startswith("name ")
        assert "provider CPU          works" in for_person("doctor").stdout

    def test_a_reader_that_has_read_enough(self) -> None:
        process = engine_process("doctor")
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.wait(60) == 0
        assert "BrokenPipe" not in process.stderr.read()


class TestNoise:
    """A command that writes to the standard streams by itself, as libraries do, and may fail."""

    @staticmethod
    def run(*arguments: str, deed: str) -> subprocess.CompletedProcess[str]:
        script = f"""
import os, sys, types
import engine.cli

def doctor(job, reporter):
    os.write(1, b"noise of a library\\n")
    print("more noise")
    {deed}

sys.modules["noisy"] = types.SimpleNamespace(doctor=doctor)
engine.cli.MODULES["doctor"] = "noisy"
sys.exit(engine.cli.main(["doctor", *sys.argv[1:]]))
"""
        buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        command = [sys.executable, "-c", script, *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=buffered)

    def test_the_stream_of_messages_stays_clean(self) -> None:
        done = self.run("--json", deed="return {}")
        answer = Answer(done.returncode, done.stdout, done.stderr)
        assert (answer.status, answer.last) == (0, {"type": "result", "result": {}})
        assert "noise of a library" in answer.error

    def test_a_person_does_not_see_it(self) -> None:
        done = self.run(deed="raise engine.cli.EngineError('code', 'what to do')")
        assert (done.returncode, done.stdout, done.stderr) == (1, "", "Error: what to do\n")

    def test_what_nobody_foresaw_is_shown_with_everything(self) -> None:
        done = self.run(deed="1 / 0")
        assert done.returncode == 1
        for words in ("noise of a library", "more noise", "Traceback", "ZeroDivisionError", "Please report it"):
            assert words in done.stderr

    def test_what_nobody_foresaw_is_a_message_too(self) -> None:
        done = self.run("--json", deed="1 / 0")
        answer = Answer(done.returncode, done.stdout, done.stderr)
        assert answer.last["code"] == "internal"
        assert "Traceback" in answer.error


class TestArguments:
    def test_every_command_is_complete(self) -> None:
        assert set(JOB_TYPES) == set(MODULES) == set(ABOUT) == set(SUMMARIES)

    def test_every_parameter_has_help(self) -> None:
        assert {(command, field.name) for command, job in JOB_TYPES.items() for field in dataclasses.fields(job)} == set(HELP)

    @pytest.mark.parametrize("command", JOB_TYPES)
    def test_defaults_are_those_of_the_job(self, command: str) -> None:
        job_type = JOB_TYPES[command]
        required = [field.name for field in dataclasses.fields(job_type) if field.default is dataclasses.MISSING]
        options = vars(_parser().parse_args([command.replace("_", "-"), *required]))
        assert options.pop("command").replace("-", "_") == command
        assert options.pop("json_lines") is False
        hints = typing.get_type_hints(job_type)
        assert job_type(**options) == job_type(*((name,) if typing.get_origin(hints[name]) is tuple else name for name in required))

    def test_values_reach_the_job(self) -> None:
        flags = ["--threshold", "0.4", "--models-folder", "a", "--models-folder", "b", "--device", "cpu", "--batch-size", "3"]
        options = vars(_parser().parse_args(["detect", "in.tif", "out.gpkg", *flags]))
        assert (options["threshold"], options["models_folders"], options["device"], options["batch_size"]) == (0.4, ("a", "b"), "cpu", 3)

    def test_yes_and_no(self) -> None:
        options = vars(_parser().parse_args(["postprocess", "in", "out", "--no-fill-holes", "--require-support"]))
        assert (options["fill_holes"], options["require_support"]) == (False, True)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (ModuleNotFoundError("No module named 'onnxruntime'"), "engine_incomplete"),
        (ZeroDivisionError("division by zero"), "internal"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_nobody_foresaw_has_a_code(error: Exception, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert explained(error).code == code
    assert ("ZeroDivisionError" in capsys.readouterr().err) == (code == "internal")


def test_results_are_plain_json() -> None:
    result = {"a": np.float32(0.5), "b": np.int64(3), "c": float("nan"), "d": Path("x"), "e": (1, None, True), "f": np.float64("inf")}
    assert plain(result) == {"a": 0.5, "b": 3, "c": None, "d": "x", "e": [1, None, True], "f": None}
