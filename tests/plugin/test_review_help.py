"""What people read about the review: its keys are those of the dock, its links lead somewhere, and the dock opens it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from qgis.PyQt.QtCore import QUrl

import review_session as form

ROOT = Path(__file__).resolve().parents[2]
GUIDE, HELP = ROOT / "docs" / "review.md", ROOT / "resources" / "help"


@pytest.fixture
def commands(module):
    return module("dialogs.review.actions").commands()


def test_the_guide_has_every_key(commands):
    rows = re.findall(r"^\| `(.+?)` \| (.+?) \| (.+?) \|$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    shown = [(key, text, tip) for key, text, tip in rows if any(key == command.key for command in commands)]
    assert shown == [(command.key, command.text, command.tip) for command in commands if command.key]


def test_the_guide_has_every_reason():
    text = " ".join(GUIDE.read_text(encoding="utf-8").split())
    assert ", ".join(f"`{number}` {reason}" for number, reason in enumerate(form.REASONS, start=1)) in text


def test_the_help_page_names_keys_that_there_are(commands):
    keys = set(re.findall("<kbd>(.+?)</kbd>", (HELP / "review.html").read_text(encoding="utf-8")))
    assert {"N", "P", "A", "X", "U"} <= keys <= {command.key for command in commands}


def test_the_help_page_has_every_status():
    rows = re.findall("<tr><td>(.+?)</td><td>.+?</td><td>(.+?)</td><td>(.+?)</td></tr>", (HELP / "review.html").read_text(encoding="utf-8"))
    assert {status for status, _, _ in rows} == set(form.STATUSES)
    assert {status for status, in_inventory, _ in rows if in_inventory == "yes"} == set(form.KEPT)
    assert {status for status, _, taught in rows if taught == "rock glacier"} == set(form.POSITIVE)
    assert {status for status, _, taught in rows if taught == "background"} == {"rejected"}


@pytest.mark.parametrize("page", [*sorted(HELP.glob("*.html")), GUIDE], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r'href="([^"#:]+)"' if page.suffix == ".html" else r"\]\(([^)#:]+)\)", text)
    assert [target for target in targets if not (page.parent / target).is_file()] == []


def test_the_dock_opens_it(module, monkeypatch):
    help_page, opened = module("dialogs.review.help_page"), []
    monkeypatch.setattr(help_page.QDesktopServices, "openUrl", opened.append)
    help_page.show_help()
    assert opened == [QUrl.fromLocalFile(str(HELP / "review.html"))]
