#!/usr/bin/env python3
"""Collect the plugin's texts for translation: ``python3 scripts/update_translations.py LANGUAGE [...]``.

Writes or updates i18n/rock_glacier_mapper_LANGUAGE.ts (``de``, ``fr``, ``zh_CN`` ...), for Qt Linguist; translations that are in it already
stay, texts that the plugin shows no more go. ``lrelease i18n/*.ts`` then makes what QGIS loads.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
PLACES = ("plugin.py", "processing_provider", "dialogs")
CONTEXT = "RockGlacierMapper"


def main() -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("languages", nargs="+", metavar="LANGUAGE")
    texts = sorted(set(plugin_texts()))
    for language in parser.parse_args().languages:
        path = ROOT / "i18n" / f"rock_glacier_mapper_{language}.ts"
        path.parent.mkdir(exist_ok=True)
        known = translations(path) if path.exists() else {}
        write(path, language, {text: known.get(text, "") for text in texts})
        sys.stdout.write(f"{path}: {len(texts)} texts, {sum(text in known for text in texts)} translated\n")
    return 0


def plugin_texts() -> Iterator[str]:
    """The texts that the plugin hands to ``tr()``.

    Raises
    ------
    ValueError
        for one that is put together before it is translated: nobody could look it up.
    """
    for place in PLACES:
        for path in [ROOT / place] if place.endswith(".py") else sorted((ROOT / place).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tr":
                    text = node.args[0]
                    if isinstance(text, ast.Constant) and isinstance(text.value, str):
                        yield text.value
                    elif not isinstance(text, ast.Name):
                        raise ValueError(f"{path.relative_to(ROOT)}, line {node.lineno}: tr() needs the text itself, whole")


def translations(path: Path) -> dict[str, str]:
    """Text -> translation of a .ts file, unfinished ones left out."""
    messages = ElementTree.parse(path).iter("message")
    found = ((message.findtext("source", ""), message.find("translation")) for message in messages)
    return {text: entry.text for text, entry in found if entry is not None and entry.text and entry.get("type") != "unfinished"}


def write(path: Path, language: str, entries: dict[str, str]) -> None:
    """A .ts file; entries without a translation are unfinished."""
    top = ElementTree.Element("TS", version="2.1", language=language, sourcelanguage="en")
    context = ElementTree.SubElement(top, "context")
    ElementTree.SubElement(context, "name").text = CONTEXT
    for text, translation in entries.items():
        message = ElementTree.SubElement(context, "message")
        ElementTree.SubElement(message, "source").text = text
        entry = ElementTree.SubElement(message, "translation")
        if translation:
            entry.text = translation
        else:
            entry.set("type", "unfinished")
    ElementTree.indent(top)
    path.write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE TS>\n' + ElementTree.tostring(top, encoding="unicode") + "\n", "utf-8"
    )


if __name__ == "__main__":
    sys.exit(main())
