"""Rock Glacier Review in a real QGIS window, as a person has it: what they press and click, and what they see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis_window import Window

OPENING_S, JOB_S, DRAWING_S = 20, 120, 15


class ReviewWindow(Window):
    """What a person sees and does; every step that does not lead where it should ends the run."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is for pictures."""
        super().__init__()
        self.folder = folder
        self.canvas = self.iface.mapCanvas()
        self.arrange()

    @property
    def dock(self) -> Any:
        """The plugin's dock."""
        return self.plugin._dock

    @property
    def review(self) -> Any:
        """The session that is open."""
        return self.dock.review

    def arrange(self) -> None:
        """Only the layers and the review beside the map."""
        from qgis.PyQt.QtWidgets import QDockWidget, QToolBar  # noqa: PLC0415

        for dock in self.main.findChildren(QDockWidget):
            dock.setVisible(dock.objectName() == "Layers")
        for bar in self.main.findChildren(QToolBar):
            if bar.parent() is self.main:
                bar.setVisible(bar.objectName() in ("mFileToolBar", "mMapNavToolBar", "mDigitizeToolBar", "mPluginToolBar"))
        self.iface.messageBar().clearWidgets()
        self.main.activateWindow()
        self.expect(self.main.isActiveWindow, OPENING_S, "QGIS's window is not active")

    def expect(self, condition: Any, seconds: float, otherwise: str) -> None:
        """Wait until a condition holds; where it does not, this is the end."""
        if not self.wait(condition, seconds):
            raise AssertionError(f"{otherwise}; the message bar says {self.said()}")

    def said(self) -> list[str]:
        """Texts in the message bar."""
        return [item.text() for item in self.iface.messageBar().items()]

    def picture(self, name: str) -> None:
        """The screen as it is when the map is drawn."""
        self.draw()
        self.main.screen().grabWindow(0).save(str(self.folder / f"{name}.png"))  # with menus that are open

    def draw(self) -> None:
        """Let the map be drawn."""
        self.rest(0.3)
        self.wait(lambda: not self.canvas.isDrawing(), DRAWING_S)
        self.rest(0.3)

    def open_dock(self) -> None:
        """From the Raster menu."""
        self.choose("Rock Glacier Review")
        self.expect(lambda: self.dock is not None and self.dock.isVisible(), OPENING_S, "the dock does not open")

    def open_sample(self) -> None:
        """By the button of the empty dock."""
        from qgis.PyQt.QtWidgets import QPushButton  # noqa: PLC0415

        button = next(button for button in self.dock.findChildren(QPushButton) if button.text() == "Open the sample session")
        button.click()
        self.expect(lambda: self.review is not None, OPENING_S, "the sample session does not open")
        self.rest(1)
        seen, outline = self.canvas.extent(), self.review.outline(self.review.current).boundingBox()
        assert seen.contains(outline) and seen.width() < 10 * outline.width(), "the map is not at the first outline"

    def press(self, keys: str, modifiers: Any = None) -> None:
        """Keys, one after the other, where the keyboard is."""
        from qgis.PyQt.QtCore import Qt  # noqa: PLC0415
        from qgis.PyQt.QtTest import QTest  # noqa: PLC0415
        from qgis.PyQt.QtWidgets import QApplication  # noqa: PLC0415

        for key in keys.split():
            target = QApplication.activePopupWidget() or QApplication.focusWidget() or self.canvas
            code = getattr(Qt.Key, f"Key_{key}")
            QTest.keyClick(target, code, modifiers or Qt.KeyboardModifier.NoModifier)
            self.rest(0.15)

    def click(self, x: float, y: float) -> None:
        """On the map, at a place in the session's CRS."""
        from qgis.core import QgsCoordinateTransform, QgsPointXY, QgsProject  # noqa: PLC0415
        from qgis.PyQt.QtCore import QPoint, Qt  # noqa: PLC0415
        from qgis.PyQt.QtTest import QTest  # noqa: PLC0415

        to_map = QgsCoordinateTransform(self.review.crs, self.canvas.mapSettings().destinationCrs(), QgsProject.instance())
        place = self.canvas.getCoordinateTransform().transform(to_map.transform(QgsPointXY(x, y)))
        pixel = QPoint(round(place.x()), round(place.y()))
        for beside in (QPoint(3, 3), QPoint(0, 0)):
            QTest.mouseMove(self.canvas.viewport(), pixel + beside)
            self.rest(0.3)
        QTest.mouseClick(self.canvas.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, pixel)
        self.rest(0.3)

    def status(self, uid: str) -> str:
        """What was decided on an outline."""
        return str(self.review.queue.get(uid)["status"])

    def go_to(self, uid: str) -> None:
        """By the queue's own order, with the key for the next outline."""
        self.canvas.setFocus()
        for _ in range(self.review.queue.total):
            if self.review.current == uid:
                break
            self.press("N")
        self.expect(lambda: self.review.current == uid, 1, "an outline of the queue is never reached")
        self.draw()
