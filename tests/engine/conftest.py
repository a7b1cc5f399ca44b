"""Where the real scenes are."""

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def data() -> Path:
    """The folder of real scenes, which is not part of the project."""
    if not DATA.is_dir():
        pytest.skip(f"the real scenes are not at {DATA}")
    return DATA
