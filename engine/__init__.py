"""The work itself, without QGIS and without torch: scenes in, outlines out. Runs in its own virtual environment."""

__version__ = "0.4.0"
