"""The zip for plugins.qgis.org: what goes in, and that each broken rule is noticed."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from scripts import package_plugin
from scripts.package_plugin import PACKAGE, ROOT, broken_rules, package

METADATA = """[general]
name=Rock Glacier Mapper
description=Rock glacier outlines
about=Rock glacier outlines, 100 % by hand
version=1.0.0
qgisMinimumVersion=3.40
author=Somebody
email=somebody@example.org
tracker=https://example.org/issues
repository=https://example.org/code
icon=icon.svg
"""
FILES = {"__init__.py": "", "metadata.txt": METADATA, "LICENSE": "GPL", "icon.svg": "<svg/>"}


def zipped(path: Path, files: dict[str, str], top: str = PACKAGE) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{top}/{name}", text)
    return path


def test_a_sound_plugin_breaks_no_rule(tmp_path: Path) -> None:
    assert broken_rules(zipped(tmp_path / "plugin.zip", FILES)) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"LICENSE": None}, "LICENSE is missing"),
        ({"__init__.py": None}, "__init__.py is missing"),
        ({"metadata.txt": None}, "metadata.txt is missing"),
        ({"metadata.txt": METADATA.replace("about=", "#about=")}, "lacks about"),
        ({"metadata.txt": METADATA.replace("3.40", "")}, "lacks qgisMinimumVersion"),
        ({"metadata.txt": METADATA.replace("https://example.org/issues", "somewhere")}, "tracker is no web address"),
        ({"metadata.txt": METADATA.replace("/code", "/code.zip")}, "not a zip"),
        ({"metadata.txt": METADATA.replace("Mapper", "plugin")}, "without the word plugin"),
        ({"metadata.txt": METADATA.replace("[general]", "[specific]")}, "no section [general]"),
        ({"icon.svg": None}, "icon icon.svg is not in the plugin"),
        ({"engine/libgdal.so": ""}, "libgdal.so may not be in a plugin"),
        ({"setup.sh": ""}, "setup.sh may not be in a plugin"),
        ({"__pycache__/plugin.cpython-311.pyc": ""}, "may not be in a plugin"),
        ({".git/config": ""}, "may not be in a plugin"),
        ({"../outside.py": ""}, "may not be in a plugin"),
    ],
)
def test_a_broken_rule_is_said(changed: dict[str, str | None], said: str, tmp_path: Path) -> None:
    files = {name: text for name, text in {**FILES, **changed}.items() if text is not None}
    assert any(said in rule for rule in broken_rules(zipped(tmp_path / "plugin.zip", files)))


def test_another_top_folder_is_said(tmp_path: Path) -> None:
    assert any("one top folder" in rule for rule in broken_rules(zipped(tmp_path / "plugin.zip", FILES, top="rock-glacier-mapper-main")))


def test_a_zip_that_is_too_large_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_plugin, "LARGEST_ZIP", 100)
    assert any("100 are the most" in rule for rule in broken_rules(zipped(tmp_path / "plugin.zip", FILES)))


@pytest.mark.skipif(not (ROOT / ".git").exists() or shutil.which("git") is None, reason="no git checkout: nothing says what is committed")
def test_what_is_committed_can_be_published(tmp_path: Path) -> None:
    package(tmp_path / "plugin.zip")
    assert broken_rules(tmp_path / "plugin.zip") == []
    with zipfile.ZipFile(tmp_path / "plugin.zip") as archive:
        inside = {name.split("/")[1] for name in archive.namelist()}
    assert {"__init__.py", "plugin.py", "jobs.py", "engine", "processing_provider", "requirements", "resources"} <= inside
    assert not inside & {"tests", "benchmarks", "docs", "scripts", ".ci", ".gitignore"}
