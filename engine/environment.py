"""The engine's virtual environment: made, checked, and made again when its requirements change.

``python3 engine/environment.py [--folder DIR] [--cuda auto|yes|no] [--training] [--check] [--json]`` prints the path of the
environment's Python on standard output. It needs nothing but the standard library, because it runs before anything is
installed, with any Python from 3.11 on. With ``--json`` it talks as the engine does (:mod:`jobs`): JSON lines out, the
end of standard input cancels.

The environment is ready when it holds a copy of the requirements that it was made from, and one of those for training
where a person asked for them. In any other state it is made afresh, beside the one that is there, which it replaces when
all is installed: what is there is then always what was asked for, and an installation that fails changes nothing.
"""

import argparse
import ctypes
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 whoever runs this has not met the requirements yet
        sys.exit(
            f"Error: the engine needs Python 3.11 or later; {sys.executable} is {sys.version.split()[0]}. "
            f"Install a later one (from the distribution or python.org) and start this with it: python3.11 {__file__}"
        )
    sys.path[:] = [str(ROOT), *(entry for entry in sys.path if Path(entry).resolve() != HERE)]

from engine.errors import Cancelled, EngineError  # noqa: E402 the repository root has to be on sys.path first
from engine.places import user_folder  # noqa: E402
from engine.reporting import Reporter  # noqa: E402
from engine.terminal import JsonReporter  # noqa: E402

REQUIREMENTS = ROOT / "requirements" / "engine.txt"
TRAINING_REQUIREMENTS = ROOT / "requirements" / "training.txt"
STAMP = "requirements.txt"
TRAINING_STAMP = "training.txt"
DONE, FAILED, CANCELLED = 0, 1, 130

CUDA_OF_ONNXRUNTIME = 13
"""Major version of CUDA that the onnxruntime-gpu of requirements/engine.txt is built for; a test holds them together."""

ENGINE_GB, CUDA_GB = 1.2, 2.0
TRAINING_GB, TRAINING_FETCHED_GB = (5.5, 3.0) if sys.platform == "linux" else (1.5, 0.6)
"""Room on the disk. The package index has torch for Linux with NVIDIA's libraries only, whether there is a GPU or not;
for macOS and Windows it has none with them."""
ROOM_WHILE_INSTALLING = 1.5
"""Installed packages and their wheels, which are there at the same time, over the installed packages alone."""

HARMFUL_PIP_SETTINGS = (
    "TARGET",
    "PREFIX",
    "ROOT",
    "USER",
    "PYTHON",
    "REQUIREMENT",
    "CONSTRAINT",
    "EDITABLE",
    "NO_DEPS",
    "DRY_RUN",
    "NO_BINARY",
)
"""What must not carry over from a person's pip environment variables: it would install elsewhere or something else."""

NETWORK_TROUBLE = re.compile(
    r"Failed to establish a new connection|name resolution|getaddrinfo failed|Name or service not known|Network is unreachable"
    r"|Connection refused|timed out|ConnectTimeout|ReadTimeout|ProxyError|nodename nor servname|Connection aborted|IncompleteRead"
)
NO_WHEEL = re.compile(r"No matching distribution found for (\S+)")
FETCHING = re.compile(r"^\s+(?:Downloading|Using cached) (?:\S*/)?([^/\s-]+)-(\d[^-\s]*)\S* \(([^)]+)\)")


def wanted_requirements(path: Path = REQUIREMENTS) -> str:
    """The text of a requirements file, with those that it includes (``-r FILE``) in place."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(wanted_requirements(path.parent / line.split()[1]) if line.startswith("-r ") else line for line in lines)


def interpreter(folder: Path) -> Path:
    """The Python of a virtual environment."""
    return folder / "Scripts" / "python.exe" if os.name == "nt" else folder / "bin" / "python"


def why_not_ready(folder: Path, requirements: str) -> str:
    """What keeps an environment from being used, in words; empty when it is ready."""
    stamp = folder / STAMP
    if not stamp.is_file():
        return "The engine is not installed."
    if stamp.read_text(encoding="utf-8") != requirements:
        return "The installed engine is of another version."
    look = (
        "import os, site, sys; sys.exit(not any(map(os.path.isdir, filter(lambda p: p.endswith('site-packages'), site.getsitepackages()))))"
    )
    try:
        probe = subprocess.run([str(interpreter(folder)), "-I", "-c", look], check=False, stdin=subprocess.DEVNULL, capture_output=True)
    except OSError:
        return "The Python that the engine was installed with has gone."
    return "The Python that the engine was installed with has changed." if probe.returncode else ""


def missing_for_training(folder: Path, training: str) -> list[str]:
    """The lines of the requirements for training that an environment was not made from."""
    stamps = [folder / name for name in (TRAINING_STAMP, STAMP)]
    made_from = next((stamp.read_text(encoding="utf-8").splitlines() for stamp in stamps if stamp.is_file()), [])
    return [line for line in training.splitlines() if line.strip() and line not in made_from]


def has_training_packages(folder: Path) -> bool:
    """True when a person asked for the packages that training needs, of whichever version they are."""
    return (folder / TRAINING_STAMP).is_file()


def has_cuda_packages(folder: Path) -> bool:
    """True when the CUDA libraries of onnxruntime are installed in an environment: cuRAND, torch does not bring along."""
    return any(folder.glob("[Ll]ib/**/site-packages/nvidia_curand*.dist-info"))


def driver_cuda_version() -> tuple[int, int] | None:
    """The newest CUDA version that this machine's NVIDIA driver runs; None without a driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
        version = ctypes.c_int()
        if driver.cuDriverGetVersion(ctypes.byref(version)) != 0 or version.value == 0:
            return None
    except (OSError, AttributeError):
        return None
    return version.value // 1000, version.value % 1000 // 10


def wants_cuda(choice: str, reporter: Reporter) -> bool:
    """Whether NVIDIA's libraries are to be installed: ``choice`` is auto, yes or no."""
    if choice != "auto":
        return choice == "yes"
    version = driver_cuda_version()
    if version is None:
        return False
    if version[0] < CUDA_OF_ONNXRUNTIME:
        reporter.warning(
            "old_driver",
            f"The NVIDIA driver runs CUDA {version[0]}.{version[1]} at most, the engine needs {CUDA_OF_ONNXRUNTIME}: "
            "it will compute on the CPU. Update the driver and install the engine again to use the GPU.",
        )
        return False
    return True


def with_cuda(requirements: str) -> str:
    """Requirements that bring CUDA and cuDNN along with onnxruntime-gpu."""
    return re.sub(r"^onnxruntime-gpu==", "onnxruntime-gpu[cuda,cudnn]==", requirements, flags=re.MULTILINE)


def make(
    folder: Path,
    reporter: Reporter,
    requirements: str | None = None,
    cuda: str = "auto",
    system_site_packages: bool = False,
    training: str | None = None,
) -> dict[str, Any]:
    """Bring a virtual environment to the state that the requirements describe; nothing to do when it is in it.

    Parameters
    ----------
    folder : where the environment is or will be
    requirements : text of a requirements file, the engine's when None
    cuda : ``yes`` with NVIDIA's libraries (about 2 GB more), ``no`` without, ``auto`` where a driver can use them
    system_site_packages : let the environment see the packages of the Python that makes it
    training : text of the requirements for training, which hold the engine's too; None without them

    Returns
    -------
    ``folder``, ``python`` (path), ``cuda`` and ``training`` (NVIDIA's libraries for the engine, the packages for training
    are there), ``changed`` (something was installed or taken away)

    Raises
    ------
    EngineError
        ``python_venv_missing``, ``folder_in_use``, ``engine_running``, ``output_folder``, ``no_internet``, ``certificate``,
        ``disk_full``, ``no_wheel``, ``install_failed``; Cancelled. What was there before is then as it was.
    """
    requirements = wanted_requirements() if requirements is None else requirements
    gpu = wants_cuda(cuda, reporter)

    def is_ready() -> bool:
        made_for = (folder / TRAINING_STAMP).read_text(encoding="utf-8") if has_training_packages(folder) else None
        return not why_not_ready(folder, requirements) and made_for == training and (has_cuda_packages(folder) or not gpu)

    changed = not is_ready()
    if changed:
        with _one_at_a_time(folder, reporter) as lock:
            changed = not is_ready()
            if changed:
                wanted = requirements if training is None else training
                stamps = {STAMP: requirements} if training is None else {STAMP: requirements, TRAINING_STAMP: training}
                room_gb = ENGINE_GB + CUDA_GB * gpu + TRAINING_GB * (training is not None)
                _make_afresh(folder, with_cuda(wanted) if gpu else wanted, stamps, room_gb, reporter, system_site_packages, lock)
    return _described(folder, changed)


def remove(folder: Path, reporter: Reporter) -> dict[str, Any]:
    """Take an environment away, and what a killed installation left beside it; what :func:`make` returns, ``python`` empty.

    Raises
    ------
    EngineError
        ``folder_in_use``, ``engine_running``, ``output_folder``; Cancelled.
    """
    with _one_at_a_time(folder, reporter):
        there = folder.resolve()
        _refuse_other_things(there)
        changed = there.exists()
        _set_aside(there)
        shutil.rmtree(_aside(there), ignore_errors=True)
        _refuse_other_things(_beside(there))
        shutil.rmtree(_beside(there), ignore_errors=True)
        reporter.progress(1.0, "Removed")
    return {**_described(folder, changed), "python": ""}


def _described(folder: Path, changed: bool) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "python": str(interpreter(folder)),
        "cuda": has_cuda_packages(folder),
        "training": has_training_packages(folder),
        "changed": changed,
    }


def _make_afresh(
    folder: Path, install: str, stamps: Mapping[str, str], room_gb: float, reporter: Reporter, system_site_packages: bool, lock: int
) -> None:
    folder = folder.resolve()  # a person's link to a larger disk stays one
    new = _beside(folder)
    _refuse_other_things(folder)
    _refuse_other_things(new)
    if importlib.util.find_spec("ensurepip") is None:
        raise EngineError(
            "python_venv_missing",
            f"{sys.executable} cannot make virtual environments. On Debian and Ubuntu install python3-venv, then start again.",
        )
    try:
        shutil.rmtree(new, ignore_errors=True)
        if TRAINING_STAMP in stamps:
            _announce_training(folder, room_gb, reporter)
        reporter.progress(0.0, f"Making the environment in {folder}")
        venv.EnvBuilder(clear=True, symlinks=os.name != "nt", system_site_packages=system_site_packages, prompt=folder.name).create(new)
        _install(new, folder, install, reporter, lock)
        for name, text in stamps.items():
            (new / name).write_text(text, encoding="utf-8")
        _readdress(new, folder)
        _put_in_place(new, folder)
        reporter.progress(1.0, "Installed")
    except BaseException as error:
        shutil.rmtree(new, ignore_errors=True)
        if isinstance(error, OSError):
            raise explain(str(error), folder) from error
        raise


def _announce_training(folder: Path, room_gb: float, reporter: Reporter) -> None:
    """Say what the packages for training take, and refuse where it is not there; what does not fit, no person should wait for."""
    libraries = " (on Linux torch brings NVIDIA's libraries along, with or without a GPU)" if sys.platform == "linux" else ""
    reporter.info(f"What training needs takes about {TRAINING_GB:g} GB{libraries}, {TRAINING_FETCHED_GB:g} GB of them to fetch.")
    free_gb, needed_gb = _free_gb(folder), room_gb * ROOM_WHILE_INSTALLING
    if free_gb < needed_gb:
        raise EngineError(
            "disk_full",
            f"Installing what training needs takes {needed_gb:.0f} GB for a while; {free_gb:.1f} GB are free at {folder}. "
            "Free some space or give another folder.",
        )


def _free_gb(folder: Path) -> float:
    return shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free / 1e9


def _refuse_other_things(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()) and not (folder / "pyvenv.cfg").is_file():
        raise EngineError("folder_in_use", f"{folder} holds something else than the engine. Move it away, or give another folder.")


def _beside(folder: Path) -> Path:
    """Where a new environment is made: a name of the same length, for :func:`_readdress`."""
    return folder.with_name(folder.name[:-1] + ("-" if folder.name.endswith("~") else "~"))


def _aside(folder: Path) -> Path:
    return folder.with_name(folder.name + ".being-removed")


def _readdress(new: Path, folder: Path) -> None:
    """Write an environment's final path into its programs; of the same length, it fits into those of Windows, too."""
    made_in, goes_to = os.fsencode(new), os.fsencode(folder)
    for path in (new / "pyvenv.cfg", *interpreter(new).parent.iterdir()):
        if path.is_file() and not path.is_symlink() and made_in in (content := path.read_bytes()):
            path.write_bytes(content.replace(made_in, goes_to))


def _set_aside(folder: Path) -> None:
    shutil.rmtree(_aside(folder), ignore_errors=True)
    try:
        if folder.exists():
            folder.rename(_aside(folder))
    except OSError as error:
        raise EngineError(
            "engine_running",
            f"{folder} cannot be replaced ({error.strerror}). Let the engine finish what it does, or close QGIS, and start again.",
        ) from error


def _put_in_place(new: Path, folder: Path) -> None:
    _set_aside(folder)
    try:
        new.rename(folder)
    except OSError:
        if _aside(folder).exists():
            _aside(folder).rename(folder)
        raise
    shutil.rmtree(_aside(folder), ignore_errors=True)


def _install(new: Path, folder: Path, requirements: str, reporter: Reporter, lock: int) -> None:
    """Run pip on the text of a requirements file, wheels only: nothing is ever compiled on a person's machine."""
    expected = sum(1 for line in requirements.splitlines() if line.strip() and not line.startswith(("#", "-")))
    python = [str(interpreter(new)), "-I", "-m"]
    with tempfile.TemporaryDirectory(dir=new, prefix="tmp-") as workplace:
        listed = Path(workplace, "requirements.txt")
        listed.write_text(requirements, encoding="utf-8")
        options = [
            "--no-input",
            "--no-user",
            "--disable-pip-version-check",
            "--progress-bar",
            "off",
            "--only-binary",
            ":all:",
            "-r",
            str(listed),
        ]
        variables = _pip_environment(workplace)
        _run([*python, "ensurepip", "--upgrade", "--default-pip"], variables, folder, reporter, lock, lambda line: None)
        collected = 0

        def follow(line: str) -> None:
            nonlocal collected
            collected += line.startswith("Collecting ")
            if match := FETCHING.match(line):
                share = min(1.0, collected / max(1, expected))
                reporter.progress(0.05 + 0.75 * share, f"Fetching {match[1]} {match[2]} ({match[3]})")
            elif line.startswith("Installing collected packages"):
                reporter.progress(0.85, "Installing the packages")

        reporter.progress(0.05, "Looking up the packages")
        _run([*python, "pip", "install", *options], variables, folder, reporter, lock, follow)


def _pip_environment(temporary_folder: str) -> dict[str, str]:
    """The person's environment less what would lead pip astray; its index, proxy and certificate settings stay.

    Wheels are unpacked beside the environment: the system's temporary folder may be a small piece of memory.
    """
    harmful = {"PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__", *(f"PIP_{name}" for name in HARMFUL_PIP_SETTINGS)}
    kept = {name: value for name, value in os.environ.items() if name not in harmful}
    return {**kept, "TMPDIR": temporary_folder, "TEMP": temporary_folder, "TMP": temporary_folder, "LC_ALL": "C.UTF-8"}


def _run(
    command: list[str],
    variables: Mapping[str, str],
    folder: Path,
    reporter: Reporter,
    lock: int,
    follow: Callable[[str], None],
) -> None:
    """Run a program to its end, its lines of output handed on; it is ended when the person cancels.

    It inherits the lock: should this process be killed, nobody else starts before the program has ended too.
    """
    process = subprocess.Popen(
        command,
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=() if os.name == "nt" else (lock,),
    )
    ended = threading.Event()

    def end_when_cancelled() -> None:
        while not ended.wait(0.2):
            try:
                reporter.check_cancelled()
            except Cancelled:
                process.terminate()
                return

    watcher = threading.Thread(target=end_when_cancelled, daemon=True)
    watcher.start()
    log: list[str] = []
    try:
        for line in process.stdout or ():
            log.append(line)
            follow(line)
        process.wait()
    finally:
        ended.set()
        watcher.join()
        if process.poll() is None:
            process.terminate()
            process.wait()
    reporter.check_cancelled()
    if process.returncode != 0:
        raise explain("".join(log), folder)


@contextmanager
def _one_at_a_time(folder: Path, reporter: Reporter) -> Iterator[int]:
    """Hold the lock file beside an environment (its descriptor); wait while another installation holds it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = open(folder.with_name(folder.name + ".lock"), "a+b")  # noqa: SIM115 closed below
    except OSError as error:
        raise EngineError("output_folder", f"{folder.parent} may not be written: {error.strerror}. Give another folder.") from error
    with file:
        told = False
        while not _lock(file.fileno()):
            if not told:
                reporter.info(f"Another installation into {folder} is running; waiting for it to end.")
                told = True
            reporter.check_cancelled()
            time.sleep(0.2)
        yield file.fileno()


if os.name == "nt":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def explain(output: str, folder: Path) -> EngineError:
    """What went wrong in an installation, from the words of pip or of the operating system."""
    missing = NO_WHEEL.search(output)
    if "No space left on device" in output or "Errno 28" in output or "not enough space" in output:
        return EngineError(
            "disk_full", f"The disk of {folder} is full ({_free_gb(folder):.1f} GB are left). Free some space or give another folder."
        )
    if "CERTIFICATE_VERIFY_FAILED" in output:
        return EngineError(
            "certificate",
            "The package index's certificate was not accepted. Behind a proxy that inspects traffic, tell pip its certificate: "
            "pip config set global.cert FILE. Then start again.",
        )
    if NETWORK_TROUBLE.search(output):
        return EngineError(
            "no_internet",
            "The package index could not be reached. The engine's packages come from the internet once, when it is installed: "
            "check the connection (behind a proxy: pip config set global.proxy URL) and start again.",
        )
    if missing:
        version = ".".join(map(str, sys.version_info[:2]))
        return EngineError(
            "no_wheel",
            f"There is no package {missing[1]} for Python {version} on this kind of machine. Start this with another Python from 3.11 on.",
        )
    last = [line.strip() for line in output.splitlines() if line.strip()][-3:]
    return EngineError(
        "install_failed", f"The engine could not be installed in {folder}: {' '.join(last) or 'the installation was stopped.'}"
    )


class PlainReporter:
    """A line on standard error whenever something new is being done."""

    def __init__(self, cancelled: threading.Event) -> None:
        self._cancelled = cancelled
        self._last = ""

    def progress(self, fraction: float, text: str = "") -> None:
        """See :class:`engine.reporting.Reporter`."""
        self.check_cancelled()
        if text != self._last:
            self._last = text
            self.info(f"{100 * fraction:3.0f} % {text}")

    def info(self, text: str) -> None:
        """See :class:`engine.reporting.Reporter`."""
        sys.stderr.write(text + "\n")

    def warning(self, code: str, text: str) -> None:
        """See :class:`engine.reporting.Reporter`."""
        self.info(f"Warning: {text}")

    def check_cancelled(self) -> None:
        """Raise Cancelled when the person cancelled."""
        if self._cancelled.is_set():
            raise Cancelled

    def result(self, command: str, result: Mapping[str, Any]) -> None:
        """The path that scripts read."""
        if result["python"]:
            sys.stdout.write(f"{result['python']}\n")

    def error(self, error: EngineError) -> None:
        """The last line of an installation that was not done."""
        self.info("Cancelled." if isinstance(error, Cancelled) else f"Error: {error.text}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="environment.py", description="Make or update the engine's virtual environment.")
    parser.add_argument("--folder", type=Path, default=None, help="where the environment is (default: %(default)s)")
    parser.set_defaults(folder=user_folder() / "engine")
    parser.add_argument("--cuda", choices=("auto", "yes", "no"), default="auto", help="NVIDIA's CUDA libraries; auto: where a driver is")
    parser.add_argument(
        "--training",
        action=argparse.BooleanOptionalAction,
        help=f"also what training needs (torch and others, about {TRAINING_GB:g} GB); when not given: as it is now",
    )
    parser.add_argument("--remove", action="store_true", help="take the environment away")
    parser.add_argument("--check", action="store_true", help="install nothing; exit status 1 and the reason when it is not ready")
    parser.add_argument("--json", action="store_true", help="JSON lines as the engine writes them; the end of standard input cancels")
    parser.add_argument("--requirements", type=Path, default=REQUIREMENTS, help="another requirements file than the engine's")
    parser.add_argument("--system-site-packages", action="store_true", help="let the environment see this Python's packages")
    options = parser.parse_args(arguments)
    if options.training and options.requirements != REQUIREMENTS:
        parser.error("--training goes with the engine's own requirements")
    cancelled = threading.Event()
    reporter = JsonReporter(sys.stdout, cancelled) if options.json else PlainReporter(cancelled)

    def cancel(number: int, frame: FrameType | None) -> None:
        cancelled.set()

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, cancel)
    if options.json:
        threading.Thread(target=_cancel_at_end_of_input, args=(cancelled.set,), daemon=True).start()
    folder = options.folder.expanduser().absolute()
    try:
        requirements = wanted_requirements(options.requirements)
        is_trained_with = has_training_packages(folder) if options.training is None else options.training
        training = wanted_requirements(TRAINING_REQUIREMENTS) if is_trained_with else None
        if options.remove:
            result = remove(folder, reporter)
        elif options.check:
            _check(folder, requirements, training if options.training else None)
            result = _described(folder, changed=False)
        else:
            result = make(folder, reporter, requirements, options.cuda, options.system_site_packages, training)
    except EngineError as error:
        reporter.error(error)
        return CANCELLED if isinstance(error, Cancelled) else FAILED
    reporter.result("environment", result)
    return DONE


def _check(folder: Path, requirements: str, training: str | None) -> None:
    """Raise an error with what is missing, and the command that installs it."""
    install = f"Install it: {sys.executable} {Path(__file__).resolve()} --folder {folder}"
    if reason := why_not_ready(folder, requirements):
        raise EngineError("engine_missing", f"{reason} {install}{' --training' if training else ''}")
    if training and (missing := missing_for_training(folder, training)):
        raise EngineError("training_missing", f"Training needs what is not installed: {', '.join(missing)}. {install} --training")


def _cancel_at_end_of_input(cancel: Callable[[], None]) -> None:
    while os.read(0, 4096):  # sys.stdin's own lock, held by a thread, would stop the interpreter from ending
        pass
    cancel()


if __name__ == "__main__":
    sys.exit(main())
