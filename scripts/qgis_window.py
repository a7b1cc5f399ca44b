"""A real QGIS window on a virtual display (Xvfb), driven from inside by a script of this project.

The script that a person or a test runs calls :func:`run_in_qgis`; QGIS then runs the same file once more under the name ``inside_qgis``,
where it hands its work to :func:`work_in_qgis`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT = 1760, 1100
START_MS = 3000
"""What QGIS takes to stand still after its start-up script has run."""
SETTINGS = """\
[app]
askToSaveProjectChanges=false
[PythonPlugins]
processing=true
rock_glacier_mapper=true
[core]
NewsFeed\\httpsfeedqgisorg\\disabled=true
[qgis]
checkVersion=false
enableMacros=1
[Processing]
Configuration\\KEEP_DIALOG_OPEN=true
"""
DONE = "done"


class Window:
    """QGIS's window, as a script inside QGIS has it."""

    def __init__(self) -> None:
        from qgis.utils import iface, plugins  # noqa: PLC0415 only inside QGIS

        self.iface, self.plugin = iface, plugins["rock_glacier_mapper"]
        self.main = iface.mainWindow()
        self.main.setGeometry(0, 0, WIDTH, HEIGHT)

    def choose(self, text: str) -> None:
        """An entry of Raster > Rock Glacier Mapper."""
        (menu,) = [action.menu() for action in self.iface.rasterMenu().actions() if action.text() == "Rock Glacier Mapper"]
        (entry,) = [action for action in menu.actions() if action.text() == text]
        entry.trigger()

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Let QGIS go on until a condition holds, or for so long; whether it holds."""
        from qgis.PyQt.QtCore import QEventLoop  # noqa: PLC0415
        from qgis.PyQt.QtWidgets import QApplication  # noqa: PLC0415

        end = time.monotonic() + seconds
        while time.monotonic() < end and not condition():
            QApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 50)
            time.sleep(0.02)
        return condition()

    def rest(self, seconds: float) -> None:
        """Let QGIS go on for so long."""
        self.wait(lambda: False, seconds)


def lacking() -> str:
    """What this machine lacks for a QGIS window; empty when it has all."""
    return " and ".join(program for program in ("qgis", "Xvfb") if shutil.which(program) is None)


def run_in_qgis(
    script: Path, order: dict[str, Any], folder: Path, longest_s: float, settings: str = "", variables: dict[str, str] | None = None
) -> tuple[bool, str]:
    """Start QGIS in a throw-away profile with a script as its start-up script.

    Parameters
    ----------
    order
        What the script is to do; anything that JSON holds.
    folder
        For profile and report; empty at first, then the same profile is used again.
    settings
        Further lines of a new profile's QGIS3.ini.
    variables
        Of QGIS's environment, besides this one's.

    Returns
    -------
    done, report
        Whether the work was done, and what the script reports, or QGIS's last words.
    """
    profile = folder / "profiles" / "default"
    if not profile.exists():
        (profile / "python" / "plugins").mkdir(parents=True)
        (profile / "python" / "plugins" / "rock_glacier_mapper").symlink_to(ROOT)
        (profile / "QGIS").mkdir()
        (profile / "QGIS" / "QGIS3.ini").write_text(SETTINGS + settings)
    report, order_file, start = folder / "report.txt", folder / "order.json", folder / "start.py"
    report.unlink(missing_ok=True)
    order_file.write_text(json.dumps({"order": order, "report": str(report)}))
    start.write_text(
        f"import runpy, sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        f"runpy.run_path({str(script.resolve())!r}, {{'ORDER': {str(order_file)!r}}}, 'inside_qgis')\n"
    )
    with virtual_display() as display:
        command = ["qgis", "--profiles-path", str(folder), "--noversioncheck", "--nologo", "--code", str(start)]
        # QGIS's Python looks for its home by the first python3 on the path; one of pyenv or conda would mislead it
        path = f"{Path(str(shutil.which('qgis'))).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb", **(variables or {})}
        environment.pop("QGIS_CUSTOM_CONFIG_PATH", None)
        ended = subprocess.run(
            command, env=environment, check=False, timeout=longest_s, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    text = report.read_text() if report.is_file() else ended.stderr
    return text.startswith(DONE) and ended.returncode == 0, text if ended.returncode == 0 else text + ended.stderr


def work_in_qgis(order_file: str, work: Callable[[dict[str, Any], list[str]], None]) -> None:
    """Inside QGIS: when the window stands, do the work, report what it logged, and leave at once, or as a person does with ``quit``."""
    from qgis.PyQt.QtCore import QTimer  # noqa: PLC0415

    given = json.loads(Path(order_file).read_text())

    def run() -> None:
        log: list[str] = []
        try:
            work(given["order"], log)
            report = "\n".join([DONE, *log, ""])
        except BaseException:  # noqa: BLE001 whatever it is, it belongs into the report
            report = "\n".join([traceback.format_exc(), *log, ""])
        Path(given["report"]).write_text(report)
        sys.stdout.flush()
        if given["order"].get("quit"):
            Window().main.close()
        else:
            os._exit(0)

    QTimer.singleShot(START_MS, run)


@contextmanager
def virtual_display() -> Iterator[str]:
    """An X server without a screen; its name for the variable DISPLAY."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{WIDTH}x{HEIGHT}x24", "-dpi", "96"]
    server = subprocess.Popen(command, pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        with os.fdopen(reading) as answer:
            yield f":{int(answer.readline())}"
    finally:
        server.terminate()
        server.wait()
