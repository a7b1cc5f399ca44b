"""The plugin speaks QGIS's language where i18n/ has a translation into it."""

from __future__ import annotations

import runpy
import shutil
import subprocess
from pathlib import Path

import pytest
from qgis.core import QgsApplication

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "update_translations.py"))


def test_texts_are_collected_once_kept_and_marked_as_open(tmp_path):
    texts = set(SCRIPT["plugin_texts"]())
    assert "Open sample (simulated landscape)" in texts
    path = tmp_path / "rock_glacier_mapper_de.ts"
    SCRIPT["write"](path, "de", {"Set up engine…": "Rechenkern einrichten…", "Split <outlines> & more": ""})
    assert SCRIPT["translations"](path) == {"Set up engine…": "Rechenkern einrichten…"}


@pytest.mark.skipif(shutil.which("lrelease") is None, reason="needs lrelease of the Qt tools")
def test_a_translation_is_used_until_the_plugin_is_unloaded(package, module, monkeypatch, tmp_path):
    translation = module("processing_provider.translation")
    path = tmp_path / "rock_glacier_mapper_de.ts"
    SCRIPT["write"](path, "de", {"Set up engine…": "Rechenkern einrichten…"})
    subprocess.run(["lrelease", "-silent", str(path)], check=True)
    monkeypatch.setattr(translation, "I18N", tmp_path)
    monkeypatch.setattr(QgsApplication, "locale", staticmethod(lambda: "de_AT"))
    plugin = package.classFactory(None)
    assert translation.tr("Set up engine…") == "Rechenkern einrichten…"
    assert translation.tr("Split outlines") == "Split outlines"
    plugin.unload()
    assert translation.tr("Set up engine…") == "Set up engine…"


def test_without_a_translation_the_texts_stay(module, monkeypatch, tmp_path):
    translation = module("processing_provider.translation")
    monkeypatch.setattr(translation, "I18N", tmp_path)
    assert translation.install_translation() is None
    assert translation.tr("Set up engine…") == "Set up engine…"
