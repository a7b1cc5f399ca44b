"""Take a picture of the plugin at work in a real QGIS window: ``python3 scripts/screenshot.py [--image FILE] [--model NAME]``.

Starts QGIS on a virtual display (Xvfb) in a throw-away profile, opens the sample from the plugin's menu, runs the three
algorithms from their toolbox dialogs by their Run buttons, and grabs the window. The engine has to be installed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT = 1760, 1100
LONGEST_RUN_S = 300
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


def main() -> int:
    """Start QGIS with this file as its start-up script; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, default=ROOT / "docs" / "images" / "qgis_window.png")
    parser.add_argument("--model", default="", help="model to detect with; the bundled one when not given")
    options = parser.parse_args()
    if not all(map(shutil.which, ("Xvfb", "qgis"))):
        sys.exit("Error: this needs qgis and Xvfb.")
    options.image.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder, "profiles", "default")
        (profile / "python" / "plugins").mkdir(parents=True)
        (profile / "python" / "plugins" / "rock_glacier_mapper").symlink_to(ROOT)
        (profile / "QGIS").mkdir()
        (profile / "QGIS" / "QGIS3.ini").write_text(SETTINGS)
        order = Path(folder, "order.txt")
        order.write_text(f"{options.image.resolve()}\n{options.model}\n{folder}\n")
        start = Path(folder, "start.py")
        start.write_text(f"import runpy\nrunpy.run_path({str(Path(__file__).resolve())!r}, {{'ORDER': {str(order)!r}}}, 'inside_qgis')\n")
        with virtual_display() as display:
            command = ["qgis", "--profiles-path", folder, "--noversioncheck", "--nologo", "--code", str(start)]
            # QGIS's Python looks for its home by the first python3 on the path; one of pyenv or conda would mislead it
            path = f"{Path(shutil.which('qgis')).parent}{os.pathsep}{os.environ['PATH']}"
            environment = {**os.environ, "PATH": path, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb"}
            done = subprocess.run(
                command, env=environment, check=False, timeout=2 * LONGEST_RUN_S, stdin=subprocess.DEVNULL, capture_output=True, text=True
            )
        report = Path(folder, "report.txt")
        sys.stdout.write(report.read_text() if report.is_file() else done.stderr)
        return 0 if report.is_file() and report.read_text().startswith("done") else 1


@contextmanager
def virtual_display() -> Iterator[str]:
    """An X server without a screen; its name for the variable DISPLAY."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{WIDTH}x{HEIGHT}x24"]
    server = subprocess.Popen(command, pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        with os.fdopen(reading) as answer:
            yield f":{int(answer.readline())}"
    finally:
        server.terminate()
        server.wait()


class Session:
    """What a person would do in the window."""

    def __init__(self, image: Path, model: str, folder: Path) -> None:
        from qgis.utils import iface, plugins  # noqa: PLC0415 only inside QGIS

        self.iface, self.plugin = iface, plugins["rock_glacier_mapper"]
        self.image, self.model, self.folder = image, model, folder
        self.log: list[str] = []

    def run(self) -> None:
        """Open the sample, run the chain, arrange the window and grab it."""
        window = self.iface.mainWindow()
        window.setGeometry(0, 0, WIDTH, HEIGHT)
        self.choose(window, "Open sample (simulated landscape)")
        sample = ROOT / "resources" / "sample"
        self.run_algorithm(
            "preparespectralstack", INPUT=str(sample / "sample_scene.tif"), OUTPUT=str(self.folder / "stack.tif"), SENSOR="sentinel2_l2a"
        )
        found = self.run_algorithm(
            "detectrockglaciers",
            INPUT=layer_id("Spectral stack"),
            MODEL=self.model,
            OUTPUT="TEMPORARY_OUTPUT",
            PROBABILITY="TEMPORARY_OUTPUT",
        )
        mapped = self.run_algorithm(
            "postprocesspolygons",
            INPUT=layer_id("Tile polygons"),
            PERMAFROST=str(sample / "sample_permafrost.tif"),
            OUTPUT="TEMPORARY_OUTPUT",
        )
        self.log.append(f"{mapped['COUNT']} outlines, {mapped['TOTAL_AREA']:.2f} km2, {found['TILES']} tiles on {found['DEVICE_USED']}")
        self.arrange()
        window.grab().save(str(self.image))

    def choose(self, window: Any, text: str) -> None:
        """An entry of Raster > Rock Glacier Mapper."""
        (menu,) = [action.menu() for action in self.iface.rasterMenu().actions() if action.text() == "Rock Glacier Mapper"]
        (entry,) = [action for action in menu.actions() if action.text() == text]
        entry.trigger()

    def run_algorithm(self, name: str, **parameters: Any) -> dict[str, Any]:
        """The results of an algorithm, run from its dialog by the Run button."""
        import processing  # noqa: PLC0415
        from qgis.PyQt.QtWidgets import QTextEdit  # noqa: PLC0415

        dialog = processing.createAlgorithmDialog(f"rockglacier:{name}", parameters)
        dialog.show()
        self.wait(lambda: False, 0.5)
        dialog.runButton().click()
        self.wait(dialog.runButton().isEnabled, LONGEST_RUN_S)
        results = dict(dialog.results())
        log = dialog.findChild(QTextEdit, "txtLog").toPlainText()
        dialog.close()
        if not results:
            raise RuntimeError(f"{name} gave no result:\n{log}")
        return results

    def arrange(self) -> None:
        """Panels, legend and map as a person would have them: what was found over the stack, the toolbox open."""
        from qgis.core import QgsProject, QgsRectangle  # noqa: PLC0415
        from qgis.PyQt.QtCore import Qt  # noqa: PLC0415
        from qgis.PyQt.QtWidgets import QDockWidget, QToolBar, QTreeView  # noqa: PLC0415

        window, root = self.iface.mainWindow(), QgsProject.instance().layerTreeRoot()
        docks = {dock.objectName(): dock for dock in window.findChildren(QDockWidget)}
        for name, dock in docks.items():
            dock.setVisible(name in ("Layers", "ProcessingToolbox"))
        for toolbar in window.findChildren(QToolBar):
            toolbar.setVisible(toolbar.objectName() in ("mFileToolBar", "mMapNavToolBar", "mAttributesToolBar"))
        window.splitDockWidget(docks["Layers"], docks["ProcessingToolbox"], Qt.Orientation.Vertical)
        window.resizeDocks([docks["Layers"]], [370], Qt.Orientation.Horizontal)
        window.resizeDocks([docks["Layers"], docks["ProcessingToolbox"]], [400, 500], Qt.Orientation.Vertical)
        self.bring_up(root)
        shown = ("Rock glacier outlines", "Outlines of the simulation", "Spectral stack")
        for layer in root.findLayers():
            layer.setItemVisibilityChecked(layer.name() in shown)
            layer.setExpanded(layer.name() in ("Rock glacier outlines", "Outlines of the simulation", "Tile polygons", "Probability"))
        self.iface.messageBar().clearWidgets()
        self.wait(lambda: False, 2)  # the panels take their new sizes
        tree = docks["ProcessingToolbox"].findChild(QTreeView)
        model = tree.model()
        for row in range(model.rowCount()):
            place = model.index(row, 0)
            if model.data(place) == "Rock Glacier Mapper":
                tree.expandRecursively(place)
                self.wait(lambda: False, 0.5)
                tree.scrollToBottom()
                tree.scrollTo(place, QTreeView.ScrollHint.PositionAtCenter)
        canvas, scene = self.iface.mapCanvas(), QgsProject.instance().mapLayersByName("Spectral stack")[0].extent()
        units_per_pixel = min(scene.width() / canvas.width(), scene.height() / canvas.height())
        width, height = units_per_pixel * canvas.width(), units_per_pixel * canvas.height()
        canvas.setExtent(QgsRectangle.fromCenterAndSize(scene.center(), width, height))
        canvas.refresh()
        self.wait(lambda: False, 5)

    @staticmethod
    def bring_up(root: Any) -> None:
        """Outlines on top, found and simulated, what they come from below them."""
        for name in (
            "Spectral stack",
            "Probability",
            "Tile polygons",
            "Rock Glacier Mapper sample: simulated, not a real place",
            "Rock glacier outlines",
        ):
            (node,) = [node for node in root.children() if node.name() == name]
            root.insertChildNode(0, node.clone())
            root.removeChildNode(node)

    def wait(self, condition: Callable[[], bool], seconds: float) -> None:
        """Let QGIS go on until a condition holds, or for so long."""
        from qgis.PyQt.QtCore import QEventLoop  # noqa: PLC0415
        from qgis.PyQt.QtWidgets import QApplication  # noqa: PLC0415

        end = time.monotonic() + seconds
        while time.monotonic() < end and not condition():
            QApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 50)
            time.sleep(0.02)


def layer_id(name: str) -> str:
    """The project's layer of that name."""
    from qgis.core import QgsProject  # noqa: PLC0415

    (layer,) = QgsProject.instance().mapLayersByName(name)
    return layer.id()


def inside_qgis(order: Path) -> None:
    """Wait until the window stands, work, report, and leave."""
    from qgis.PyQt.QtCore import QTimer  # noqa: PLC0415

    image, model, folder = order.read_text().splitlines()

    def work() -> None:
        try:
            session = Session(Path(image), model, Path(folder))
            session.run()
            report = "done\n" + "\n".join(session.log) + "\n"
        except Exception:  # noqa: BLE001 whatever it is, it belongs into the report
            report = traceback.format_exc()
        Path(folder, "report.txt").write_text(report)
        os._exit(0)

    QTimer.singleShot(3000, work)


if __name__ == "__main__":
    sys.exit(main())
elif __name__ == "inside_qgis":
    inside_qgis(Path(ORDER))  # noqa: F821 given by the start-up script
