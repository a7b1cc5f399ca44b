"""The decisions of the shell scripts: which QGIS is recent enough, which keyring signs the mirror, what a failed demo leaves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")


def shell(commands: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """What bash makes of commands after ``common.sh``; programs in ``path`` come first."""
    found = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"} if path else None
    return subprocess.run(
        ["bash", "-c", f'source "{SCRIPTS}/common.sh"; {commands}'], env=found, capture_output=True, text=True, check=False
    )


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("said", "ready"),
    [
        ("QGIS 3.40.6-Bratislava 'Bratislava' (exported)", True),
        ("QGIS 3.44.2-Solothurn 'Solothurn'", True),
        ("QGIS 4.0.1-Norrköping", True),
        ("QGIS 3.34.4-Prizren 'Prizren'", False),
        ("QGIS 3.4.6-Madeira", False),
        ("qgis_process: error while loading shared libraries", False),
    ],
)
def test_only_a_recent_qgis_is_ready(said: str, ready: bool, tmp_path: Path) -> None:
    program(tmp_path / "qgis_process", f'echo "{said}"')
    assert (shell("find_qgis_python() { :; }; qgis_is_ready", tmp_path).returncode == 0) is ready


@pytest.mark.parametrize(
    ("name", "text", "keyring"),
    [
        (
            "debian.sources",
            "Types: deb\nURIs: http://security.example/debian\nSuites: bookworm-security\nSigned-By: /keys/security.gpg\n\n"
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nSigned-By: /keys/debian.gpg\n",
            "/keys/debian.gpg",
        ),
        ("inline.sources", "Types: deb\nURIs: http://mirror.example/debian\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n", ""),
        ("debian.list", "deb http://mirror.example/debian bookworm main\n", ""),
        ("signed.list", "deb [arch=amd64 signed-by=/keys/debian.gpg] http://mirror.example/debian bookworm main\n", "/keys/debian.gpg"),
        (
            "signed_first.list",
            "deb [signed-by=/keys/debian.gpg arch=amd64] http://mirror.example/debian bookworm main\n",
            "/keys/debian.gpg",
        ),
    ],
)
def test_the_keyring_is_the_mirrors_own(name: str, text: str, keyring: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert shell(f"keyring_of {tmp_path / name} http://mirror.example/debian/").stdout.strip() == keyring


def fake_apt(path: Path, *targets: str) -> None:
    """An ``apt-get indextargets`` that knows these targets: suite, component, address, source entry."""
    suites = "\n".join(target.split()[0] for target in targets)
    program(path / "apt-get", f"case \"$*\" in *COMPONENT*) echo '{chr(10).join(targets)}' ;; *) echo '{suites}' ;; esac")


def test_backports_come_from_the_machines_own_mirror(tmp_path: Path) -> None:
    source = tmp_path / "debian.list"
    source.write_text("deb [signed-by=/keys/debian.gpg] http://mirror.example/debian bookworm main\n")
    fake_apt(
        tmp_path,
        f"bookworm-security main http://security.example/debian/ {source}:2",
        f"bookworm non-free http://mirror.example/debian/ {source}:1",
        f"bookworm main http://mirror.example/debian/ {source}:1",
    )
    target = tmp_path / "backports.sources"
    commands = shell("backports_commands bookworm", tmp_path).stdout
    written = commands.replace("/etc/apt/sources.list.d/bookworm-backports.sources", str(target))
    subprocess.run(["bash", "-ec", written], check=True)
    assert target.read_text() == (
        "Types: deb\nURIs: http://mirror.example/debian/\nSuites: bookworm-backports\nComponents: main\nSigned-By: /keys/debian.gpg\n"
    )


def test_backports_that_are_there_are_not_added_again(tmp_path: Path) -> None:
    fake_apt(tmp_path, "bookworm main http://mirror.example/debian/ x:1", "bookworm-backports main http://mirror.example/debian/ x:2")
    done = shell("backports_commands bookworm", tmp_path)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_machine_without_a_debian_mirror_is_told_what_to_do(tmp_path: Path) -> None:
    fake_apt(tmp_path, "stretch main http://mirror.example/debian/ x:1")
    done = shell("backports_commands bookworm", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Install QGIS 3.40 or later by hand" in done.stderr


def test_a_failed_step_tells_the_engines_words_and_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    program(
        tmp_path / "qgis_process", "cat > /dev/null; echo 'QStandardPaths: noise' >&2; echo 'ERROR:\tscene.tif has no CRS.' >&2; exit 1"
    )
    folder = tmp_path / "output"
    folder.mkdir()
    (folder / "outlines.gpkg").write_text("of last week")
    command = [sys.executable, str(SCRIPTS / "demo_chain.py"), "scene.tif", str(folder), "--title", "t", "--source", "s"]
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == "Error: scene.tif has no CRS."
    assert [entry.name for entry in folder.iterdir()] == ["outlines.gpkg"]


def test_a_scene_that_is_not_there_is_said_before_anything_is_set_up(tmp_path: Path) -> None:
    done = subprocess.run(["bash", str(SCRIPTS / "demo.sh"), "nowhere.tif", str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "Error: there is no file nowhere.tif.\n")
