"""Outputs appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.terminal import plain

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
SIDE_FILES = (".aux.xml", ".ovr", ".msk", "-wal", "-shm", "-journal")
"""Statistics, overviews, masks and journals of the file that was replaced: GDAL would take them for the new one's."""
SHAPEFILE_SIDE_FILES = (".shx", ".dbf", ".prj", ".cpg", ".qpj", ".qix", ".sbn", ".sbx")
ROOM = 1_000_000
"""Bytes that have to be free after an output was written."""


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A place to write ``path``'s content; it takes ``path``'s name only when the block ends without an error.

    The place is a file of the same name in a new hidden folder beside ``path`` (same file system, so the final rename
    is atomic; side files of a driver, a journal or an .aux.xml, are swept away with the folder). An existing file at
    ``path`` stays untouched until then.

    Raises
    ------
    EngineError
        ``output_folder`` when the folder is missing or may not be written, ``disk_full`` when the disk fills up.
    """
    target = Path(path).absolute()
    workplace = _workplace(target)
    try:
        yield workplace / target.name
        if not (workplace / target.name).exists():
            raise EngineError("output_missing", f"Nothing was written for {target}.")
        _flush_to_disk(workplace / target.name)
        os.replace(workplace / target.name, target)
        for suffix in SIDE_FILES:
            with contextlib.suppress(OSError):
                target.with_name(target.name + suffix).unlink()
    except OSError as error:
        raise write_error(error, workplace / target.name, target) from error
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


@contextmanager
def written_json(path: str | os.PathLike[str], document: Any) -> Iterator[None]:
    """Numbers and texts, numpy's too, as JSON that a person can read; NaN becomes null.

    The file takes its name when the block ends without an error, so that several do so together.

    Raises
    ------
    EngineError
        those of :func:`whole_file`.
    """
    with whole_file(path) as place:
        place.write_text(json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        yield


@contextmanager
def whole_set(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A folder to write files into that belong together; they go beside ``path``, all of them or none, when the block ends.

    The folder is new, hidden and beside ``path``. Existing files of the same names are replaced, and what belongs to a
    Shapefile that is replaced goes with it.

    Raises
    ------
    EngineError
        as :func:`whole_file`.
    """
    target = Path(path).absolute()
    workplace = _workplace(target)
    try:
        yield workplace
        new = [file for file in workplace.iterdir() if file.is_file()]
        for file in new:
            _flush_to_disk(file)
        _put_in_place(new, target.parent, workplace / "replaced")
    except OSError as error:
        raise write_error(error, workplace / target.name, target) from error
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


@contextmanager
def made_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A folder that is made where it is not there, and taken away again, empty, where the block fails.

    Raises
    ------
    EngineError
        ``output_folder``.
    """
    folder = Path(path).absolute()
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError("output_folder", f"The folder {folder} could not be made: {error.strerror}.") from error
    try:
        yield folder
    except BaseException:
        if made and not any(folder.iterdir()):
            folder.rmdir()
        raise


@contextmanager
def whole_folder(path: str | os.PathLike[str], contents: Collection[str]) -> Iterator[Path]:
    """A new folder to fill; it takes ``path``'s name only when the block ends without an error.

    It is hidden, beside ``path``, until then. A folder that is there already is replaced when it is empty or holds nothing but
    ``contents``, the names of what is written: an earlier output of the same kind.

    Raises
    ------
    EngineError
        ``output_folder`` when a file, or a folder with something else in it, is in the way; as :func:`whole_file`.
    """
    target = Path(path).absolute()
    if target.exists() and not target.is_dir():
        raise EngineError("output_folder", f"The output {target} is a file. Give the name of a folder.")
    known = {name + suffix for name in contents for suffix in ("", *SIDE_FILES)}
    others = sorted(file.name for file in target.iterdir() if file.name not in known) if target.is_dir() else []
    if others:
        raise EngineError("output_folder", f"The folder {target} holds other files, {others[0]} among them. Give a new or an empty folder.")
    workplace = _workplace(target, is_folder=True)
    try:
        (workplace / target.name).mkdir()
        yield workplace / target.name
        for file in (workplace / target.name).iterdir():
            if file.is_file():
                _flush_to_disk(file)
        if target.exists():
            os.replace(target, workplace / "replaced")
        try:
            os.replace(workplace / target.name, target)
        except OSError:
            if (workplace / "replaced").exists():
                os.replace(workplace / "replaced", target)
            raise
    except OSError as error:
        raise write_error(error, workplace / target.name / "rest", target) from error
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def _put_in_place(new: list[Path], folder: Path, aside: Path) -> None:
    """Move files into a folder; where one cannot be moved, everything is as it was."""
    aside.mkdir()
    names = {file.name for file in new}
    names |= {Path(name).with_suffix(suffix).name for name in names if name.endswith(".shp") for suffix in SHAPEFILE_SIDE_FILES}
    moved: list[tuple[Path, Path]] = []
    try:
        for source, target in [
            *((folder / name, aside / name) for name in sorted(names) if (folder / name).exists()),
            *((file, folder / file.name) for file in new),
        ]:
            if source.is_dir():
                raise IsADirectoryError(errno.EISDIR, "a folder of that name is in the way", str(source))
            os.replace(source, target)
            moved.append((source, target))
    except OSError:
        for source, target in reversed(moved):
            os.replace(target, source)
        raise


def _workplace(target: Path, is_folder: bool = False) -> Path:
    """A new hidden folder beside ``target``."""
    if not target.parent.is_dir():
        raise EngineError("output_folder", f"The output folder {target.parent} does not exist. Create it or choose another one.")
    if target.is_dir() and not is_folder:
        raise EngineError("output_folder", f"The output {target} is a folder. Give a file name.")
    try:
        return Path(tempfile.mkdtemp(prefix=f".{target.stem}-", suffix=".part", dir=target.parent))
    except OSError as error:
        raise _translated(error, target) from error


def _flush_to_disk(path: Path) -> None:
    """Bring everything to the disk. A disk without room left afterwards may have swallowed what drivers write last."""
    with open(path, "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        file.write(bytes(ROOM))
        file.flush()
        file.truncate(size)
        os.fsync(file.fileno())


def is_disk_full(error: BaseException) -> bool:
    """True for a write that failed for want of space, or of room for a file of that size."""
    return isinstance(error, OSError) and error.errno in FULL


def write_error(error: OSError, place: Path, target: Path) -> EngineError:
    """What a failed write at ``place`` means to the person who asked for ``target``."""
    return _translated(_reason(error, place), target)


def _reason(error: OSError, place: Path) -> OSError:
    """GDAL tells that a write failed but not why; the operating system does, when asked to write some more."""
    if error.errno is None:
        try:
            with open(place, "ab") as file:
                file.write(bytes(4_000_000))
        except OSError as reason:
            return reason
    return error


def _translated(error: OSError, target: Path) -> EngineError:
    if is_disk_full(error):
        free_mb = shutil.disk_usage(target.parent).free / 1e6
        return EngineError(
            "disk_full",
            f"{target} does not fit on its disk ({free_mb:.0f} MB are left), or its file system takes no file of that size. "
            "Free some space or choose another folder.",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return EngineError(
            "output_folder",
            f"{target} may not be written: its folder is protected, or the file is open in another program, QGIS perhaps. "
            f"Close it there, or choose another name or folder. ({error.strerror})",
        )
    return EngineError("output_failed", f"{target} could not be written: {error}")
