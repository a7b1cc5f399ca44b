"""Outputs appear whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.outputs import whole_file, whole_set
from jobs import PrepareJob
from tests.engine.processes import ROOT, run_job
from tests.engine.scenes import mountains, write_raster


def test_the_output_appears_when_it_is_complete(tmp_path: Path) -> None:
    output = tmp_path / "a.txt"
    with whole_file(output) as place:
        place.write_text("new")
        assert not output.exists()
        assert place.name == output.name
    assert output.read_text() == "new"
    assert list(tmp_path.iterdir()) == [output]


def test_an_existing_output_is_replaced_when_the_new_one_is_complete(tmp_path: Path) -> None:
    output = tmp_path / "a.txt"
    output.write_text("old")
    with whole_file(output) as place:
        place.write_text("new")
        assert output.read_text() == "old"
    assert output.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError("a slip"), KeyboardInterrupt(), EngineError("code", "text")], ids=lambda e: type(e).__name__)
def test_an_error_leaves_the_existing_output_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    output = tmp_path / "a.txt"
    output.write_text("old")
    with pytest.raises(type(error)), whole_file(output) as place:
        place.write_text("half")
        place.with_name("side-file.aux.xml").write_text("half")
        raise error
    assert output.read_text() == "old"
    assert list(tmp_path.iterdir()) == [output]


def test_side_files_are_swept_away(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a.gpkg") as place:
        place.write_text("new")
        place.with_name("a.gpkg-wal").write_text("journal")
    assert [path.name for path in tmp_path.iterdir()] == ["a.gpkg"]


def test_side_files_of_the_replaced_output_go_with_it(tmp_path: Path) -> None:
    output = tmp_path / "a.tif"
    for name in ("a.tif", "a.tif.aux.xml", "a.tif.ovr", "a.tif-wal", "b.tif.aux.xml"):
        (tmp_path / name).write_text("old")
    with whole_file(output) as place:
        place.write_text("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "b.tif.aux.xml"]


@pytest.mark.parametrize(("name", "code"), [("none/a.txt", "output_folder"), ("folder", "output_folder"), ("a.txt/b.txt", "output_folder")])
def test_a_place_that_cannot_be_written(tmp_path: Path, name: str, code: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.txt").touch()
    with pytest.raises(EngineError) as raised, whole_file(tmp_path / name):
        pytest.fail("the work began all the same")
    assert raised.value.code == code


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(EngineError) as raised, whole_file(tmp_path / "a.txt"):
        pytest.fail("the work began all the same")
    assert raised.value.code == "output_folder"


def test_nothing_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as raised, whole_file(tmp_path / "a.txt"):
        pass
    assert raised.value.code == "output_missing"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG], ids=errno.errorcode.get)
def test_a_full_disk_is_said_to_be_full(tmp_path: Path, number: int) -> None:
    with pytest.raises(EngineError, match="Free some space") as raised, whole_file(tmp_path / "a.txt"):
        raise OSError(number, os.strerror(number))
    assert raised.value.code == "disk_full"


def test_a_library_that_does_not_say_why_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="Write failed") as raised, whole_file(tmp_path / "a.txt") as place:
        place.write_text("half")
        raise OSError("Write failed")
    assert raised.value.code == "output_failed"


@pytest.fixture
def scene(tmp_path: Path) -> str:
    (tmp_path / "output").mkdir()
    return write_raster(tmp_path / "scene.tif", mountains(rows=400, columns=400))


@pytest.mark.parametrize("resolution", [0.0, 5.0], ids=["as is", "resampled"])
def test_a_file_that_outgrows_its_limit_leaves_the_existing_output(scene: str, tmp_path: Path, resolution: float) -> None:
    resource = pytest.importorskip("resource", reason="this system has no limit on file sizes")
    output = tmp_path / "output" / "stack.tif"
    output.write_text("yesterday's stack")
    limit = 500_000
    answer = run_job(
        PrepareJob(scene, str(output), resolution=resolution), limits=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    assert answer.status == 1
    assert answer.last["code"] == "disk_full"
    assert output.read_text() == "yesterday's stack"
    assert list(output.parent.iterdir()) == [output]


@pytest.mark.parametrize("size_kb", [200, 1500, 2500])
def test_a_full_disk_in_a_real_file_system(scene: str, tmp_path: Path, size_kb: int) -> None:
    if sys.platform != "linux" or subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("a small file system can only be mounted where user namespaces are allowed")
    folder = tmp_path / "output"
    mount = f'mount -t tmpfs -o size={size_kb}k tmpfs "$1" && echo old >"$1/stack.tif"'
    script = f'{mount} && "$2" "$3" prepare "$4" "$1/stack.tif"; echo $?; ls -A "$1"; cat "$1/stack.tif"'
    command = ["unshare", "-rm", "sh", "-c", script, "sh", str(folder), sys.executable, str(ROOT / "engine"), scene]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.stdout.split() == ["1", "stack.tif", "old"]
    assert "does not fit on its disk" in done.stderr
    assert "tiff" not in done.stderr.lower().replace("stack.tif", "").replace("scene.tif", ""), "the chatter of libraries"


def test_files_that_belong_together_appear_together(tmp_path: Path) -> None:
    for name in ("a.shp", "a.dbf", "a.qix", "b.shp"):
        (tmp_path / name).write_text("old")
    with whole_set(tmp_path / "a.shp") as folder:
        (folder / "a.shp").write_text("new")
        (folder / "a.dbf").write_text("new")
        assert (tmp_path / "a.shp").read_text() == "old"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.shp": "new", "a.dbf": "new", "b.shp": "old"}


def test_where_one_of_them_cannot_be_placed_all_is_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "c.txt").mkdir()
    (tmp_path / "c.txt" / "inside").write_text("old")
    with pytest.raises(EngineError) as caught, whole_set(tmp_path / "a.txt") as folder:
        for name in ("a.txt", "b.txt", "c.txt"):
            (folder / name).write_text("new")
    assert caught.value.code == "output_failed"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "c.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"
