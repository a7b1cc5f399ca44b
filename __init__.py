"""Rock Glacier Mapper, a QGIS plugin: rock glacier outlines from optical satellite imagery.

This folder is the plugin; QGIS loads it as the package ``rock_glacier_mapper``.
"""

from __future__ import annotations

from typing import Any


def classFactory(iface: Any) -> Any:
    """The plugin; ``iface`` is None under ``qgis_process``."""
    from .plugin import RockGlacierMapperPlugin  # noqa: PLC0415 the engine imports this folder without QGIS

    return RockGlacierMapperPlugin(iface)
