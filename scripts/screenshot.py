"""Take a picture of the plugin at work in a real QGIS window: ``python3 scripts/screenshot.py [--image FILE] [--model NAME]``.

Starts QGIS on a virtual display (Xvfb) in a throw-away profile, opens the sample from the plugin's menu, runs the three
algorithms from their toolbox dialogs by their Run buttons, and grabs the window. The engine has to be installed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from qgis_window import ROOT, Window, lacking, run_in_qgis, work_in_qgis

LONGEST_RUN_S = 300


def main() -> int:
    """Start QGIS with this file as its start-up script; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, default=ROOT / "docs" / "images" / "qgis_window.png")
    parser.add_argument("--model", default="", help="model to detect with; the bundled one when not given")
    options = parser.parse_args()
    if lacking():
        sys.exit(f"Error: this needs {lacking()}.")
    options.image.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        order = {"image": str(options.image.resolve()), "model": options.model, "folder": folder}
        done, report = run_in_qgis(Path(__file__), order, Path(folder), 2 * LONGEST_RUN_S)
    sys.stdout.write(report)
    return 0 if done else 1


class Session(Window):
    """What a person would do in the window."""

    def __init__(self, image: Path, model: str, folder: Path, log: list[str]) -> None:
        super().__init__()
        self.image, self.model, self.folder, self.log = image, model, folder, log

    def run(self) -> None:
        """Open the sample, run the chain, arrange the window and grab it."""
        self.choose("Open sample (simulated landscape)")
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
        self.main.grab().save(str(self.image))

    def run_algorithm(self, name: str, **parameters: Any) -> dict[str, Any]:
        """The results of an algorithm, run from its dialog by the Run button."""
        import processing  # noqa: PLC0415
        from qgis.PyQt.QtWidgets import QTextEdit  # noqa: PLC0415

        dialog = processing.createAlgorithmDialog(f"rockglacier:{name}", parameters)
        dialog.show()
        self.rest(0.5)
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

        window, root = self.main, QgsProject.instance().layerTreeRoot()
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
        self.rest(2)  # the panels take their new sizes
        tree = docks["ProcessingToolbox"].findChild(QTreeView)
        model = tree.model()
        for row in range(model.rowCount()):
            place = model.index(row, 0)
            if model.data(place) == "Rock Glacier Mapper":
                tree.expandRecursively(place)
                self.rest(0.5)
                tree.scrollToBottom()
                tree.scrollTo(place, QTreeView.ScrollHint.PositionAtCenter)
        canvas, scene = self.iface.mapCanvas(), QgsProject.instance().mapLayersByName("Spectral stack")[0].extent()
        units_per_pixel = min(scene.width() / canvas.width(), scene.height() / canvas.height())
        width, height = units_per_pixel * canvas.width(), units_per_pixel * canvas.height()
        canvas.setExtent(QgsRectangle.fromCenterAndSize(scene.center(), width, height))
        canvas.refresh()
        self.rest(5)

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


def layer_id(name: str) -> str:
    """The project's layer of that name."""
    from qgis.core import QgsProject  # noqa: PLC0415

    (layer,) = QgsProject.instance().mapLayersByName(name)
    return layer.id()


def work(order: dict[str, Any], log: list[str]) -> None:
    """Inside QGIS."""
    Session(Path(order["image"]), order["model"], Path(order["folder"]), log).run()


if __name__ == "__main__":
    sys.exit(main())
elif __name__ == "inside_qgis":
    work_in_qgis(ORDER, work)  # noqa: F821 given by the start-up script
