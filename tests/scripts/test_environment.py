"""The engine's environment: when it is made, when it is left alone, and what is said when it cannot be made."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
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
def boulder(pebble: str, tmp_path: Path) -> str:
    """Requirements for training: those of the engine and one more wheel."""
    with zipfile.ZipFile(tmp_path / "wheels" / "boulder-2.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("boulder.py", "size = 400\n")
        wheel.writestr("boulder-2.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: boulder\nVersion: 2.0\n")
        wheel.writestr("boulder-2.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("boulder-2.0.dist-info/entry_points.txt", "[console_scripts]\nroll = boulder:__name__.__str__\n")
        wheel.writestr("boulder-2.0.dist-info/RECORD", "")
    return f"{pebble}boulder==2.0\n"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """An environment that is ready for the requirements "pebble==1.0"."""
    folder = tmp_path / "engine"
    venv.create(folder, with_pip=False)
    (folder / environment.STAMP).write_text("pebble==1.0\n")
    return folder


def size_of(name: str, folder: Path) -> str:
    """What a package says in an environment."""
    look = [environment.interpreter(folder), "-I", "-c", f"import {name}; print({name}.size)"]
    return subprocess.run(look, capture_output=True, text=True, check=True).stdout.strip()


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

    @pytest.mark.parametrize("reporter", [SilentReporter(), SilentReporter(cancel_after=1)], ids=["failed", "cancelled"])
    def test_what_is_not_done_leaves_what_was_there(self, made: Path, reporter: SilentReporter) -> None:
        with pytest.raises(EngineError):
            environment.make(made, reporter, "--no-index\npebble==9.9\n", cuda="no")
        assert environment.why_not_ready(made, "pebble==1.0\n") == ""
        assert sorted(path.name for path in made.parent.iterdir()) == ["engine", "engine.lock"]

    @needs_posix
    def test_programs_know_where_they_are(self, tmp_path: Path, boulder: str) -> None:
        result = environment.make(tmp_path / "engine", SilentReporter(), boulder, cuda="no")
        programs = Path(result["python"]).parent
        assert (programs / "roll").read_text().startswith(f"#!{result['python']}\n")
        assert str(tmp_path / "engine") in (programs / "activate").read_text()
        assert not [path for path in programs.iterdir() if not path.is_symlink() and b"engin~" in path.read_bytes()]

    @needs_posix
    def test_a_link_to_a_larger_disk_stays_one(self, tmp_path: Path, pebble: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(environment, "_install", lambda *_: None)
        (tmp_path / "large").mkdir()
        (tmp_path / "engine").symlink_to("large")
        environment.make(tmp_path / "engine", SilentReporter(), pebble, cuda="no")
        assert (tmp_path / "engine").is_symlink() and (tmp_path / "large" / environment.STAMP).is_file()

    def test_one_that_is_in_use_stays(self, made: Path, pebble: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(path: Path, target: Path) -> None:
            raise PermissionError(13, "The process cannot access the file")

        monkeypatch.setattr(environment, "_install", lambda *_: None)
        monkeypatch.setattr(Path, "rename", refuse)
        with pytest.raises(EngineError) as raised:
            environment.make(made, SilentReporter(), pebble, cuda="no")
        assert raised.value.code == "engine_running"
        assert environment.why_not_ready(made, "pebble==1.0\n") == ""

    def test_a_python_without_ensurepip_names_the_package(self, tmp_path: Path, pebble: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(EngineError, match="python3-venv"):
            environment.make(tmp_path / "engine", SilentReporter(), pebble, cuda="no")


class TestTraining:
    """What training needs, beside the engine's own packages."""

    def test_comes_stays_and_goes_as_asked(self, made: Path, pebble: str, boulder: str) -> None:
        folder = made
        (folder / environment.STAMP).write_text(pebble)
        assert environment.make(folder, SilentReporter(), pebble, cuda="no")["training"] is False
        added = environment.make(folder, SilentReporter(), pebble, cuda="no", training=boulder)
        assert (added["training"], added["changed"], size_of("boulder", folder), size_of("pebble", folder)) == (True, True, "400", "4")
        assert environment.why_not_ready(folder, pebble) == ""  # the engine is that of its own requirements still
        assert environment.make(folder, SilentReporter(), pebble, cuda="no", training=boulder)["changed"] is False
        gone = environment.make(folder, SilentReporter(), pebble, cuda="no", training=None)
        assert (gone["training"], gone["changed"]) == (False, True)
        with pytest.raises(subprocess.CalledProcessError):
            size_of("boulder", folder)

    def test_when_it_cannot_be_installed_the_engine_stays(self, made: Path, pebble: str) -> None:
        with pytest.raises(EngineError) as raised:
            environment.make(made, SilentReporter(), "pebble==1.0\n", cuda="no", training=pebble + "boulder==9.9\n")
        assert raised.value.code == "no_wheel"
        assert environment.make(made, SilentReporter(), "pebble==1.0\n", cuda="no")["changed"] is False

    def test_a_disk_that_it_does_not_fit_on_is_told_before_anything_is_fetched(
        self, made: Path, boulder: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = shutil.disk_usage(".")._replace(free=5_000_000_000 if sys.platform == "linux" else 1_000_000_000)
        monkeypatch.setattr(environment.shutil, "disk_usage", lambda place: usage)
        monkeypatch.setattr(environment, "_install", lambda *_: pytest.fail("it was installed"))
        reporter = SilentReporter()
        with pytest.raises(EngineError, match="GB are free") as raised:
            environment.make(made, reporter, "pebble==1.0\n", cuda="no", training=boulder)
        assert raised.value.code == "disk_full"
        assert f"about {environment.TRAINING_GB:g} GB" in " ".join(reporter.infos)
        assert environment.why_not_ready(made, "pebble==1.0\n") == ""

    @pytest.mark.parametrize(
        ("stamps", "missing"),
        [
            ({}, ["pebble==1.0", "boulder==2.0"]),
            ({environment.STAMP: "pebble==1.0\n"}, ["boulder==2.0"]),
            ({environment.STAMP: "pebble==1.0\n", environment.TRAINING_STAMP: "pebble==1.0\nboulder==1.9\n"}, ["boulder==2.0"]),
            ({environment.STAMP: "pebble==1.0\n", environment.TRAINING_STAMP: "pebble==1.0\nboulder==2.0\n"}, []),
        ],
        ids=["nothing", "the engine alone", "older ones", "all"],
    )
    def test_what_is_missing(self, tmp_path: Path, stamps: dict[str, str], missing: list[str]) -> None:
        for name, text in stamps.items():
            (tmp_path / name).write_text(text)
        assert environment.missing_for_training(tmp_path, "pebble==1.0\nboulder==2.0\n") == missing

    def test_the_requirements_hold_those_of_the_engine(self) -> None:
        training = environment.wanted_requirements(environment.TRAINING_REQUIREMENTS)
        assert training.startswith(environment.wanted_requirements()) and "torch==" in training

    @pytest.mark.parametrize(
        ("there", "option", "asked_for"),
        [(True, [], True), (False, [], False), (False, ["--training"], True), (True, ["--no-training"], False)],
        ids=["an update keeps it", "an update does not bring it", "asked for", "no longer wanted"],
    )
    def test_what_an_update_does_with_it(
        self, made: Path, monkeypatch: pytest.MonkeyPatch, there: bool, option: list[str], asked_for: bool
    ) -> None:
        if there:
            (made / environment.TRAINING_STAMP).write_text("torch==1.0\n")
        calls = []
        monkeypatch.setattr(environment, "make", lambda *values: calls.append(values) or environment._described(made, changed=True))
        assert environment.main(["--folder", str(made), *option]) == environment.DONE
        assert calls[0][-1] == (environment.wanted_requirements(environment.TRAINING_REQUIREMENTS) if asked_for else None)


class TestRemove:
    def test_with_what_a_killed_installation_left(self, made: Path) -> None:
        for name, file in (("engin~", "pyvenv.cfg"), ("engine.being-removed", "locked.dll")):
            (made.parent / name).mkdir()
            (made.parent / name / file).touch()
        assert environment.remove(made, SilentReporter())["changed"] is True
        assert [path.name for path in made.parent.iterdir()] == ["engine.lock"]
        assert environment.remove(made, SilentReporter())["changed"] is False

    def test_not_a_folder_of_other_things(self, tmp_path: Path) -> None:
        for name in ("photos", "photo~"):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "front.jpg").touch()
        for folder in (tmp_path / "photos", tmp_path / "photo1"):
            with pytest.raises(EngineError, match="something else"):
                environment.remove(folder, SilentReporter())
        assert (tmp_path / "photos" / "front.jpg").exists() and (tmp_path / "photo~" / "front.jpg").exists()


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

    def test_check_of_training_names_what_is_missing(self, made: Path) -> None:
        (made / environment.STAMP).write_text(environment.wanted_requirements())
        assert self.run("--check", "--folder", str(made)).returncode == 0
        done = self.run("--check", "--training", "--json", "--folder", str(made))
        message = json.loads(done.stdout)
        assert (done.returncode, message["code"]) == (1, "training_missing")
        assert "torch==" in message["text"] and "numpy==" not in message["text"]
        assert message["text"].endswith(f"--folder {made} --training")
        (made / environment.TRAINING_STAMP).write_text(environment.wanted_requirements(environment.TRAINING_REQUIREMENTS))
        assert self.run("--check", "--training", "--folder", str(made)).returncode == 0

    def test_training_goes_with_the_engines_own_requirements(self, tmp_path: Path) -> None:
        done = self.run("--training", "--requirements", str(tmp_path / "others.txt"))
        assert done.returncode == 2 and "own requirements" in done.stderr

    def test_remove_prints_no_path(self, made: Path) -> None:
        done = self.run("--remove", "--folder", str(made))
        assert (done.returncode, done.stdout, made.exists()) == (0, "", False)

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
