"""The rules of the house that a machine can hold: who imports what, and who talks to whom."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGIN_FOLDERS = ("processing_provider", "dialogs")
PLUGIN_FILES = ("__init__.py", "plugin.py")
TOOLS_OF_THEIR_OWN = ("environment.py",)
"""Programs in engine/ that talk to a person by themselves."""


def python_files(*places: str) -> list[Path]:
    found = []
    for place in places:
        path = ROOT / place
        found += [path] if path.is_file() else sorted(path.rglob("*.py"))
    return found


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Dotted names of all modules that a file imports, wherever in it; relative ones with their dots."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            if node.module is None:
                yield from (module + alias.name for alias in node.names)


def packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path) if not name.startswith(".")}


ENGINE = python_files("engine")
MODEL = python_files("model")
PLUGIN = python_files(*PLUGIN_FILES, *PLUGIN_FOLDERS)
EVERYTHING = [*python_files("engine", "model", *PLUGIN_FOLDERS, "tests", "benchmarks", "scripts"), *sorted(ROOT.glob("*.py"))]


def test_the_rooms_are_there() -> None:
    assert ENGINE
    assert MODEL
    assert PLUGIN


@pytest.mark.parametrize("path", ENGINE, ids=named)
def test_the_engine_imports_neither_qgis_nor_torch(path: Path) -> None:
    forbidden = {
        "qgis",
        "PyQt5",
        "PyQt6",
        "PySide6",
        "torch",
        "torchvision",
        "timm",
        "onnx",
        "model",
        "processing_provider",
        "dialogs",
    }
    assert not packages(path) & forbidden


@pytest.mark.parametrize("path", MODEL, ids=named)
def test_model_imports_no_qgis(path: Path) -> None:
    assert not packages(path) & {"qgis", "PyQt5", "PyQt6", "PySide6", "processing_provider", "dialogs"}


@pytest.mark.parametrize("path", PLUGIN, ids=named)
def test_the_plugin_imports_qgis_the_standard_library_and_itself(path: Path) -> None:
    work_on_one_object = {"osgeo", "numpy"} if "review" in path.parts else set()  # as QGIS ships them
    assert packages(path) <= {"qgis", "processing", *work_on_one_object, *sys.stdlib_module_names}
    beyond = [name for name in imports(path) if name.startswith(".") and name.strip(".").split(".")[0] in ("engine", "model")]
    assert not beyond


@pytest.mark.parametrize("contract", ["jobs.py", "review_session.py"])
def test_the_contract_needs_the_standard_library_alone(contract: str) -> None:
    assert packages(ROOT / contract) <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("path", EVERYTHING, ids=named)
def test_qt_comes_by_way_of_qgis(path: Path) -> None:
    assert not packages(path) & {"PyQt5", "PyQt6", "PySide2", "PySide6", "sip"}


@pytest.mark.parametrize("path", [path for path in (*ENGINE, *MODEL, *PLUGIN) if path.name not in TOOLS_OF_THEIR_OWN], ids=named)
def test_library_code_does_not_print(path: Path) -> None:
    calls = [node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    assert not [call for call in calls if isinstance(call, ast.Name) and call.id == "print"]


@pytest.mark.parametrize("path", [ROOT / "jobs.py", ROOT / "review_session.py", *PLUGIN], ids=named)
def test_the_plugin_side_reads_as_python_3_9(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))


# where a person's folders are, the system says in variables
@pytest.mark.parametrize("path", [path for path in ENGINE if path.name not in ("places.py", *TOOLS_OF_THEIR_OWN)], ids=named)
def test_the_engine_reads_no_environment_variables_but_for_places(path: Path) -> None:
    assert not re.search(r"\bos\.(environ|getenv)\b", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", ["engine.cli", "engine.environment", "jobs"])
def test_what_starts_first_starts_with_the_standard_library_alone(module: str) -> None:
    look = f"import sys; before = set(sys.modules); import {module}; print(*{{name.split('.')[0] for name in set(sys.modules) - before}})"
    done = subprocess.run([sys.executable, "-S", "-c", look], check=True, capture_output=True, text=True, cwd=ROOT)
    assert set(done.stdout.split()) <= {"engine", "jobs", *sys.stdlib_module_names}
