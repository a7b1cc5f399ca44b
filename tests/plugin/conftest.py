"""Fixtures of the plugin's tests: the plugin as QGIS loads it, the real engine and a false one, small inputs.

The tests run with the Python that imports QGIS and are left out elsewhere.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FALSE_ENGINE = Path(__file__).with_name("false_engine.py")

if importlib.util.find_spec("qgis") and importlib.util.find_spec("pytest_qgis"):
    import numpy as np
    from qgis.core import QgsApplication, QgsProject, QgsSettings

    from tests.plugin.reviews import make_review
    from tests.plugin.samples import write_raster
else:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory, qgis_processing: None) -> Any:
    """The package ``rock_glacier_mapper``, found where a QGIS profile has its plugins."""
    plugins = tmp_path_factory.mktemp("profile") / "python" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "rock_glacier_mapper").symlink_to(ROOT)
    sys.path.insert(0, str(plugins))
    return importlib.import_module("rock_glacier_mapper")


@pytest.fixture
def module(package: Any) -> Callable[[str], Any]:
    """A module of the plugin by its dotted name."""
    return lambda name: importlib.import_module(f"rock_glacier_mapper.{name}")


@pytest.fixture
def plugin(package: Any) -> Iterator[Any]:
    """The plugin as ``qgis_process`` starts it: without a window."""
    plugin = package.classFactory(None)
    plugin.initProcessing()
    yield plugin
    plugin.unload()


@pytest.fixture
def algorithm(plugin: Any) -> Callable[[str], Any]:
    """A registered algorithm by name."""
    return lambda name: QgsApplication.processingRegistry().algorithmById(f"rockglacier:{name}")


@pytest.fixture
def engine(module: Callable[[str], Any]) -> None:
    """The installed engine, or no test."""
    home = module("processing_provider.engine_home")
    state = home.engine_state()
    if state is not home.EngineState.READY:
        pytest.skip(home.what_to_do(state))


@pytest.fixture
def no_engine(module: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without the engine; the folder that would hold it."""
    home = module("processing_provider.engine_home")
    monkeypatch.setattr(home, "user_folder", lambda: tmp_path / "rock-glacier-mapper")
    return tmp_path / "rock-glacier-mapper" / "engine"


@pytest.fixture
def false_engine(module: Callable[[str], Any], tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Put a program that speaks the engine's protocol, and behaves as told, in the engine's place."""
    setting = module("processing_provider.engine_home").INTERPRETER_SETTING

    def behave(behaviour: str = "", polygons: Path | str = "") -> Path:
        program = tmp_path / "false engine"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FALSE_ENGINE}" "{behaviour}" "{tmp_path}" "{polygons}" "$@"\n')
        program.chmod(0o755)
        QgsSettings().setValue(setting, str(program))
        return tmp_path

    yield behave
    QgsSettings().remove(setting)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """48 x 40 pixels of 10 m; red, green, blue, nir as reflectance x 10000."""
    values = np.array([1200, 1100, 1000, 1800])
    return write_raster(tmp_path / "scene.tif", np.full((4, 40, 48), values[:, None, None], np.uint16))


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A spectral stack of 64 x 64 pixels of 10 m, the same everywhere."""
    values = np.array([0.12, 0.11, 0.10, 0.18, 0.09, 0.08])
    names = ("red", "green", "blue", "nir", "evi", "savi")
    return write_raster(tmp_path / "stack.tif", np.full((6, 64, 64), values[:, None, None], np.float32), names)


@pytest.fixture
def review(module: Callable[[str], Any], tmp_path: Path, qgis_new_project: None) -> Iterator[Any]:
    """A review session of the known cases, open in an empty project."""
    review = module("dialogs.review.session").Review(make_review(tmp_path), "Ann", QgsProject.instance())
    yield review
    review.close()
    QgsProject.instance().clear()
