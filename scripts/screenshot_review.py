"""Take the pictures of docs/review.md in a real QGIS window: ``PYTHON scripts/screenshot_review.py [FOLDER] [--theme "Night Mapping"]``.

PYTHON is that of the installed engine, which proposes the cuts and writes the reports. The sample session is opened by the dock's button,
and the window is grabbed at each step. The pictures have 256 colours at most.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from qgis_window import ROOT, lacking, run_in_qgis, work_in_qgis
from review_window import DRAWING_S, JOB_S, ReviewWindow

LONGEST_S = 300
COLOURS = 256


class Photographer(ReviewWindow):
    """Takes the pictures; outlines are found by what they are, so that another sample may take this one's place."""

    def picture(self, name: str, widget: Any = None) -> None:
        """A widget, all of QGIS's window if none is named."""
        self.draw()
        (widget or self.main).grab().save(str(self.folder / f"review_{name}.png"))

    def side_by_side(self, name: str, pictures: list[Any]) -> None:
        """Pictures that were taken one after the other, in one."""
        from qgis.PyQt.QtGui import QPainter, QPixmap  # noqa: PLC0415

        gap = self.main.fontMetrics().height()
        together = QPixmap(sum(one.width() + gap for one in pictures) - gap, max(one.height() for one in pictures))
        together.fill(self.main.palette().window().color())
        painter, left = QPainter(together), 0
        for one in pictures:
            one.setDevicePixelRatio(1)
            painter.drawPixmap(left, 0, one)
            left += one.width() + gap
        painter.end()
        together.save(str(self.folder / f"review_{name}.png"))

    def take_all(self, width: int) -> None:
        """Go through a review."""
        self.widen(width)
        self.dock.start_page._file.setFilePath("review.gpkg")  # pictures show no path of this computer
        self.picture("start", self.dock)
        self.open_sample()
        self.widen(width)
        row = self.largest("n-1")
        self.go_to(row["uid"])
        self.picture("queue")
        self.level()
        self.split()
        self.views()
        self.panels(width)
        self.finish()
        self.adapt()

    def widen(self, width: int) -> None:
        """Give the dock so many pixels, and the layers two thirds of that."""
        from qgis.PyQt.QtCore import Qt  # noqa: PLC0415
        from qgis.PyQt.QtWidgets import QDockWidget  # noqa: PLC0415

        layers = self.main.findChild(QDockWidget, "Layers")
        self.main.resizeDocks([layers, self.dock], [2 * width // 3, width], Qt.Orientation.Horizontal)
        self.rest(1)

    def largest(self, relation: str) -> dict[str, Any]:
        """The row of the largest outline with a relation."""
        queue = self.review.queue
        rows = [queue.row_at(position) for position in range(len(queue))]
        return max((row for row in rows if row["relation"] == relation), key=lambda row: row["area_km2"])

    def level(self) -> None:
        """The slider while it is dragged, some levels up."""
        self.press("L")
        self.rest(1)
        slider = self.dock.page.level_control._slider
        slider.setSliderDown(True)
        slider.setValue(slider.value() + 3 * slider.singleStep())
        self.picture("level")
        self.press("Escape")
        self.page_group("level", False)

    def split(self) -> None:
        """Cuts that are proposed for the largest outline."""
        self.canvas.setFocus()
        self.press("K")
        tool = self.dock.page._map_tools["split"]
        self.expect(lambda: bool(tool.proposals), JOB_S, "no cut is proposed; run this with the engine's Python")
        self.picture("split")
        self.press("K")

    def views(self) -> None:
        """Second map and profile."""
        self.press("V F")
        self.rest(4)
        self.picture("views")
        self.press("V F")

    def panels(self, width: int) -> None:
        """Attributes, confidence and tiles of the dock, after some decisions, among them rejections for two reasons."""
        self.main.resize(self.main.width(), self.main.screen().size().height())
        self.widen(width)
        self.canvas.setFocus()
        self.dock.review.show(self.review.queue.uid_at(0))
        for number, keys in enumerate(("2", "A", "A", "X 5", "A", "U", "A", "A")):
            self.rest(1 + number % 3)
            if keys == "A" and number % 3 == 1:
                self.press("L Right Right Return")
                self.rest(1)
                self.canvas.setFocus()
            self.press(keys)
        self.page_group("level", False)
        uid = self.largest("1-1")["uid"]
        self.dock.review.show(uid)
        self.press("M")
        self.dock.review.show(uid)
        self.dock.page.confidence_panel.slider.setValue(60)
        grabs = []
        for names in (("attributes",), ("confidence", "tiles")):
            for name in names:
                self.page_group(name, True)
            self.rest(1)
            grabs.append(self.dock.grab())
            for name in names:
                self.page_group(name, False)
        self.side_by_side("panels", grabs)

    def page_group(self, name: str, opened: bool) -> None:
        """Open or close one of the dock's groups."""
        if opened:
            self.dock.page._open_group(name)
        else:
            self.dock.page._groups[name].setCollapsed(True)

    def adapt(self) -> None:
        """The dialog before it is started, on a session with a spectral stack."""
        import processing  # noqa: PLC0415
        from qgis.PyQt.QtWidgets import QDialog  # noqa: PLC0415

        sample = ROOT / "resources" / "sample"
        stack, session = (str(self.folder.parent / name) for name in ("stack.tif", "review.gpkg"))
        scene = {"INPUT": str(sample / "sample_scene.tif"), "SENSOR": "sentinel2_l2a", "OUTPUT": stack}
        processing.run("rockglacier:preparespectralstack", scene)
        outlines = {"PREDICTED": str(sample / "sample_predicted.gpkg"), "PROBABILITY": str(sample / "sample_probability.tif")}
        processing.run("rockglacier:startreview", {**outlines, "IMAGERY": stack, "OUTPUT": session})
        self.dock.open_session(Path(session))
        uids = [self.review.queue.uid_at(position) for position in range(9)]
        self.review.accept(uids[:7])
        self.review.reject(uids[7:], "talus")
        for tile in list(self.review.tiles.getFeatures())[:6]:
            self.review.visit_tile(tile.id(), True)
        self.dock.commands["adapt"].trigger()
        dialog = next(dialog for dialog in self.dock.findChildren(QDialog) if dialog.isVisible())
        self.picture("adapt", dialog)
        dialog.close()

    def finish(self) -> None:
        """The dialog when all is written, and the effort report."""
        from qgis.PyQt.QtWidgets import QDialog  # noqa: PLC0415

        self.dock.commands["finish"].trigger()
        dialog = next(dialog for dialog in self.dock.findChildren(QDialog) if dialog.isVisible())
        dialog.run_button.click()
        self.expect(lambda: not dialog.bar.is_busy, JOB_S, "finishing does not end")
        folder = Path(dialog._folder.filePath())
        dialog._folder.setFilePath(folder.name)
        self.picture("finish", dialog)
        dialog.close()
        self.page(folder / "effort.html")

    def page(self, path: Path) -> None:
        """The upper part of a report."""
        from qgis.PyQt.QtCore import QSize, Qt, QUrl  # noqa: PLC0415
        from qgis.PyQt.QtWebKitWidgets import QWebView  # noqa: PLC0415

        view = QWebView()
        view.resize(QSize(900, 780))
        view.page().mainFrame().setScrollBarPolicy(Qt.Orientation.Vertical, Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        loaded = []
        view.loadFinished.connect(loaded.append)
        view.load(QUrl.fromLocalFile(str(path)))
        view.show()
        self.wait(lambda: bool(loaded), DRAWING_S)
        self.picture("effort", view)
        view.close()


def work(order: dict[str, Any], log: list[str]) -> None:
    """Inside QGIS."""
    photographer = Photographer(Path(order["folder"]))
    photographer.main.setGeometry(0, 0, *order["size"])
    photographer.open_dock()
    photographer.take_all(order["dock"])


def main() -> int:
    """Start QGIS with this file as its start-up script; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "docs" / "images")
    parser.add_argument("--theme", default="", help="of QGIS's window")
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 900), help="of the window, pixels")
    parser.add_argument("--dock", type=int, default=340, help="width of the dock, pixels")
    options = parser.parse_args()
    if lacking():
        sys.exit(f"Error: this needs {lacking()}.")
    options.folder.mkdir(parents=True, exist_ok=True)
    settings = f"[rock_glacier_mapper]\nengine_python={sys.executable}\nreview\\operator=Ada\n"
    settings += f"[UI]\nUITheme={options.theme}\n" if options.theme else ""
    with tempfile.TemporaryDirectory() as profile:
        pictures = Path(profile, "pictures")
        pictures.mkdir()
        order = {"folder": str(pictures), "size": options.size, "dock": options.dock}
        temporary = Path(profile, "tmp")  # a session in the system's own folder for such QGIS marks as temporary
        temporary.mkdir()
        user = {"XDG_DATA_HOME": str(Path(profile, "user")), "TMPDIR": str(temporary)}
        done, report = run_in_qgis(Path(__file__), order, Path(profile, "qgis"), LONGEST_S, settings, user)
        for picture in sorted(pictures.iterdir()):
            shrink(picture, options.folder / picture.name)
    sys.stdout.write(report)
    return 0 if done else 1


def shrink(picture: Path, into: Path) -> None:
    """Write a picture with a palette of its own."""
    from PIL import Image  # noqa: PLC0415 the engine has it

    with Image.open(picture) as image:
        image.convert("RGB").quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(into, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
elif __name__ == "inside_qgis":
    work_in_qgis(ORDER, work)  # noqa: F821 given by the start-up script
