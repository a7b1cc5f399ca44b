"""A stand-in for QGIS's interface where tests need a main window with a map, docks and registered actions."""

from __future__ import annotations

from qgis.core import QgsProject
from qgis.gui import QgsGui, QgsLayerTreeMapCanvasBridge, QgsMapCanvas, QgsMapToolPan, QgsMessageBar
from qgis.PyQt.QtGui import QKeySequence
from qgis.PyQt.QtWidgets import QAction, QMainWindow, QMenu


class Interface:
    """The parts that the plugin touches, doing what QGIS does; ``said`` are texts and levels of the message bar."""

    def __init__(self):
        self._window = QMainWindow()
        self._canvas = QgsMapCanvas(self._window)
        self._window.setCentralWidget(self._canvas)
        self._window.resize(1200, 900)
        self._raster_menu = QMenu("Raster", self._window)
        self._bar = QgsMessageBar(self._window)
        self._exit = QAction("Exit QGIS", self._window)
        self._bridge = QgsLayerTreeMapCanvasBridge(QgsProject.instance().layerTreeRoot(), self._canvas, self._window)
        self._layer = None
        self._actions = {}
        self.buttons = []
        self.docks = []

    @property
    def said(self):
        return [(item.text(), item.level()) for item in self._bar.items()]

    def texts(self, *levels):
        """Texts in the message bar, of all levels when none is given."""
        return [text for text, level in self.said if not levels or level in levels]

    def mainWindow(self):
        return self._window

    def rasterMenu(self):
        return self._raster_menu

    def mapCanvas(self):
        return self._canvas

    def layerTreeCanvasBridge(self):
        return self._bridge

    def messageBar(self):
        return self._bar

    def activeLayer(self):
        return self._layer

    def setActiveLayer(self, layer):
        self._layer = layer
        return True

    def actionVertexToolActiveLayer(self):
        return self._tool("vertex")

    def actionAddFeature(self):
        return self._tool("add")

    def actionExit(self):
        return self._exit

    def addToolBarIcon(self, action):
        self.buttons.append(action)

    def removeToolBarIcon(self, action):
        self.buttons.remove(action)

    def addDockWidget(self, area, dock):
        self._window.addDockWidget(area, dock)
        self.docks.append(dock)

    def removeDockWidget(self, dock):
        self._window.removeDockWidget(dock)
        self.docks.remove(dock)

    def registerMainWindowAction(self, action, key):
        return QgsGui.shortcutsManager().registerAction(action, key)

    def unregisterMainWindowAction(self, action):
        return QgsGui.shortcutsManager().unregisterAction(action)

    def _tool(self, name):
        """An action that takes a map tool of that name."""
        if name not in self._actions:
            tool = QgsMapToolPan(self._canvas)
            tool.setObjectName(name)
            action = QAction(name, self._window)
            action.triggered.connect(lambda: self._canvas.setMapTool(tool))
            self._actions[name] = action, tool
        return self._actions[name][0]


def key_of(action):
    return action.shortcut().toString(QKeySequence.SequenceFormat.PortableText)
