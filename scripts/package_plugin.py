#!/usr/bin/env python3
"""Zip the plugin as plugins.qgis.org takes it: ``python3 scripts/package_plugin.py [FILE.zip]``.

What is committed goes in, less what only a checkout needs. The zip is then held against the repository's own rules
(https://plugins.qgis.org/docs/publish and its validator); one that breaks them is not left behind.
"""

from __future__ import annotations

import argparse
import configparser
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "rock_glacier_mapper"
LEFT_OUT = (".ci", ".gitignore", "benchmarks", "docs", "pyproject.toml", "scripts", "tests")

LARGEST_ZIP = 25_000_000
NEEDED_FILES = ("__init__.py", "metadata.txt", "LICENSE")
NEEDED_KEYS = ("name", "description", "version", "qgisMinimumVersion", "author", "email", "about", "tracker", "repository")
URL_KEYS = ("tracker", "repository", "homepage")
FORBIDDEN_PARTS = ("__pycache__", ".git", "__MACOSX", "..")
FORBIDDEN_SUFFIXES = (".pyc", ".exe", ".dll", ".so", ".dylib", ".bat", ".sh", ".ps1", ".cmd")


def package(target: Path) -> None:
    """Write the committed files of the plugin into a zip with one top folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    command = ["git", "-C", str(ROOT), "archive", "--format=zip", f"--prefix={PACKAGE}/", f"--output={target}", "HEAD", "--", "."]
    subprocess.run([*command, *(f":(exclude){path}" for path in LEFT_OUT)], check=True)


def broken_rules(path: Path) -> list[str]:
    """The rules of plugins.qgis.org that a zip breaks, in words."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        metadata = archive.read(f"{PACKAGE}/metadata.txt").decode() if f"{PACKAGE}/metadata.txt" in names else ""
    inside = {name.removeprefix(f"{PACKAGE}/") for name in names}
    size = path.stat().st_size
    broken = [f"the zip has {size} bytes, {LARGEST_ZIP} are the most that is taken"] if size > LARGEST_ZIP else []
    tops = {PurePosixPath(name).parts[0] for name in names}
    if tops != {PACKAGE}:
        broken.append(f"there has to be one top folder {PACKAGE}, there is {', '.join(sorted(tops)) or 'nothing'}")
    broken += [f"{name} is missing" for name in NEEDED_FILES if name not in inside]
    for name in names:
        if "\\" in name or set(PurePosixPath(name).parts) & set(FORBIDDEN_PARTS) or name.endswith(FORBIDDEN_SUFFIXES):
            broken.append(f"{name} may not be in a plugin")
    return [*broken, *broken_metadata_rules(metadata, inside)]


def broken_metadata_rules(text: str, files: set[str]) -> list[str]:
    """The rules that ``metadata.txt`` breaks; ``files`` are the paths in the plugin's folder."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    if not parser.has_section("general"):
        return ["metadata.txt has no section [general]"]
    general = parser["general"]
    broken = [f"metadata.txt lacks {key}" for key in NEEDED_KEYS if not general.get(key, "").strip()]
    broken += [f"metadata.txt: {key} is no web address" for key in URL_KEYS if not general.get(key, "https://").startswith("https://")]
    if general.get("repository", "").endswith(".zip"):
        broken.append("metadata.txt: repository has to be the code's repository, not a zip")
    if general.get("icon") and general["icon"] not in files:
        broken.append(f"metadata.txt: the icon {general['icon']} is not in the plugin")
    if "plugin" in general.get("name", "").lower():
        broken.append("metadata.txt: a plugin's name goes without the word plugin")
    return broken


def version() -> str:
    """The plugin's version."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "metadata.txt", encoding="utf-8")
    return parser["general"]["version"]


def main() -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(description="Zip the committed files of the plugin as plugins.qgis.org takes it.")
    parser.add_argument("zip", nargs="?", type=Path, default=ROOT / "build" / f"{PACKAGE}-{version()}.zip", help="default: %(default)s")
    target = parser.parse_args().zip.absolute()
    package(target)
    broken = broken_rules(target)
    for rule in broken:
        sys.stderr.write(f"Error: {rule}.\n")
    if broken:
        target.unlink()
        return 1
    sys.stdout.write(f"{target} ({target.stat().st_size / 1e6:.1f} MB)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
