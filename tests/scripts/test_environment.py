"""The engine's environment: when it is made, when it is left alone, and what is said when it cannot be made."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from engine import environment
from engine.errors import Cancelled, EngineError
from engine.reporting import SilentReporter

PROGRAM = Path(environment.__file__)
needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="the layout of a POSIX environment")


@pytest.fixture
def pebble(tmp_path: Path) -> str:
    """Requirements that a small wheel on this disk fulfils."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "pebble-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("pebble.py", "size = 4\n")
        wheel.writestr("pebble-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: pebble\nVersion: 1.0\n")
        wheel.writestr("pebble-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("pebble-1.0.dist-info/RECORD", "")
    return f"--no-index\n--find-links {folder}\npebble==1.0\n"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """An environment that is ready for the requirements "pebble==1.0"."""
    folder = tmp_path / "engine"
    venv.create(folder, with_pip=False)
    (folder / environment.STAMP).write_text("pebble==1.0\n")
    return folder


def test_requirements_that_include_others_are_compared_whole(tmp_path: Path) -> None:
    (tmp_path / "all.txt").write_text("-r some.txt\npebble==1.0\n")
    (tmp_path / "some.txt").write_text("boulder==2.0\n")
    assert environment.wanted_requirements(tmp_path / "all.txt") == "boulder==2.0\npebble==1.0\n"


class TestWhyNotReady:
    def test_ready(self, made: Path) -> None:
        assert environment.why_not_ready(made, "pebble==1.0\n") == ""

    def test_never_made(self, tmp_path: Path) -> None:
        assert "not installed" in environment.why_not_ready(tmp_path / "engine", "pebble==1.0\n")

    def test_interrupted_before_the_stamp(self, made: Path) -> None:
        (made / environment.STAMP).unlink()
        assert "not installed" in environment.why_not_ready(made, "pebble==1.0\n")

    def test_other_requirements(self, made: Path) -> None:
        assert "another version" in environment.why_not_ready(made, "pebble==1.1\n")

    @needs_posix
    def test_its_python_was_removed(self, made: Path) -> None:
        (made / "bin" / "python").unlink()
        (made / "bin" / "python").symlink_to("/nowhere/python3")
        assert "has gone" in environment.why_not_ready(made, "pebble==1.0\n")

    @needs_posix
    def test_its_python_was_upgraded(self, made: Path) -> None:
        packages = next(made.glob("lib/python3.*"))
        packages.rename(packages.with_name("python3.2"))
        assert "has changed" in environment.why_not_ready(made, "pebble==1.0\n")


class TestMake:
    def test_installs_once_whatever_pip_settings_are_around(self, tmp_path: Path, pebble: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PIP_TARGET", str(tmp_path / "elsewhere"))
        monkeypatch.setenv("PIP_USER", "1")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        folder = tmp_path / "data" / "engine"
        result = environment.make(folder, SilentReporter(), pebble, cuda="no")
        size = subprocess.run(
            [result["python"], "-c", "import pebble; print(pebble.size)"], capture_output=True, text=True, check=True
        ).stdout
        assert (result["changed"], size) == (True, "4\n")
        assert (folder / environment.STAMP).read_text() == pebble
        assert environment.make(folder, SilentReporter(), pebble, cuda="no")["changed"] is False

    def test_remakes_what_an_interrupted_installation_left(self, made: Path, pebble: str) -> None:
        (made / environment.STAMP).unlink()
        (made / "half-unpacked").touch()
        assert environment.make(made, SilentReporter(), pebble, cuda="no")["changed"] is True
        assert not (made / "half-unpacked").exists()

    def test_leaves_a_folder_of_other_things_alone(self, tmp_path: Path, pebble: str) -> None:
        (tmp_path / "photos").mkdir()
        (tmp_path / "photos" / "front.jpg").touch()
        with pytest.raises(EngineError) as raised:
            environment.make(tmp_path / "photos", SilentReporter(), pebble, cuda="no")
        assert raised.value.code == "folder_in_use"
        assert (tmp_path / "photos" / "front.jpg").exists()

    def test_a_package_that_does_not_exist_leaves_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(EngineError) as raised:
            environment.make(tmp_path / "engine", SilentReporter(), "--no-index\npebble==9.9\n", cuda="no")
        assert raised.value.code == "no_wheel"
        assert not (tmp_path / "engine").exists()

    def test_cancelled_leaves_nothing(self, tmp_path: Path, pebble: str) -> None:
        with pytest.raises(Cancelled):
            environment.make(tmp_path / "engine", SilentReporter(cancel_after=1), pebble, cuda="no")
        assert not (tmp_path / "engine").exists()

    def test_a_python_without_ensurepip_names_the_package(self, tmp_path: Path, pebble: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(EngineError, match="python3-venv"):
            environment.make(tmp_path / "engine", SilentReporter(), pebble, cuda="no")


@needs_posix
def test_two_installations_do_not_fight(tmp_path: Path) -> None:
    folder = tmp_path / "engine"
    with environment._one_at_a_time(folder, SilentReporter()), open(tmp_path / "engine.lock", "a+b") as other:
        assert environment._lock(other.fileno()) is False
    with open(tmp_path / "engine.lock", "a+b") as other:
        assert environment._lock(other.fileno()) is True


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("OSError: [Errno 28] No space left on device", "disk_full"),
        ("NewConnectionError: Failed to establish a new connection: [Errno -3] Temporary failure in name resolution", "no_internet"),
        (
            "WARNING: Retrying ... ProxyError('Cannot connect to proxy.')\nERROR: No matching distribution found for numpy==2.4.6",
            "no_internet",
        ),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]'))", "certificate"),
        ("ERROR: No matching distribution found for numpy==2.4.6", "no_wheel"),
        ("Segmentation fault", "install_failed"),
        ("", "install_failed"),
    ],
)
def test_failures_are_explained(said: str, code: str, tmp_path: Path) -> None:
    assert environment.explain(said, tmp_path / "engine").code == code


class TestCuda:
    def test_extras_go_to_onnxruntime_alone(self) -> None:
        text = environment.wanted_requirements()
        changed = [line for line in environment.with_cuda(text).splitlines() if line not in text.splitlines()]
        assert [line.split("==")[0] for line in changed] == ["onnxruntime-gpu[cuda,cudnn]"]

    @pytest.mark.parametrize(
        ("choice", "driver", "wanted"),
        [
            ("yes", None, True),
            ("no", (13, 0), False),
            ("auto", None, False),
            ("auto", (environment.CUDA_OF_ONNXRUNTIME, 2), True),
            ("auto", (environment.CUDA_OF_ONNXRUNTIME - 1, 8), False),
        ],
    )
    def test_follows_the_driver(self, choice: str, driver: tuple[int, int] | None, wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(environment, "driver_cuda_version", lambda: driver)
        assert environment.wants_cuda(choice, SilentReporter()) is wanted

    def test_an_old_driver_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(environment, "driver_cuda_version", lambda: (12, 4))
        reporter = SilentReporter()
        environment.wants_cuda("auto", reporter)
        assert [code for code, _ in reporter.warnings] == ["old_driver"]

    def test_a_driver_that_appears_calls_for_a_new_installation(self, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(environment, "_make_afresh", lambda *arguments: None)
        states = [environment.make(made, SilentReporter(), "pebble==1.0\n", cuda=cuda)["changed"] for cuda in ("no", "yes")]
        assert states == [False, True]

    def test_the_cuda_version_is_the_one_onnxruntime_asks_for(self) -> None:
        try:
            needs = importlib.metadata.requires("onnxruntime-gpu") or []
        except importlib.metadata.PackageNotFoundError:
            pytest.skip("onnxruntime-gpu is not made for this machine")
        runtime = [need for need in needs if need.startswith("nvidia-cuda-runtime")]
        assert runtime and f"~={environment.CUDA_OF_ONNXRUNTIME}." in runtime[0]


class TestProgram:
    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(PROGRAM), *arguments], stdin=subprocess.PIPE, capture_output=True, text=True, check=False
        )

    def test_check_tells_how_to_install(self, tmp_path: Path) -> None:
        done = self.run("--check", "--json", "--folder", str(tmp_path / "engine"))
        message = json.loads(done.stdout)
        assert (done.returncode, message["type"], message["code"]) == (1, "error", "engine_missing")
        assert str(PROGRAM) in message["text"]

    def test_prints_the_python_of_a_ready_environment_and_nothing_else(self, made: Path) -> None:
        (made / environment.STAMP).write_text(environment.wanted_requirements())
        done = self.run("--cuda", "no", "--folder", str(made))
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{environment.interpreter(made)}\n", "")

    def test_without_a_site_or_packages(self, made: Path) -> None:
        (made / environment.STAMP).write_text(environment.wanted_requirements())
        done = subprocess.run(
            [environment.interpreter(made), "-I", "-S", PROGRAM, "--check", "--folder", made], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
