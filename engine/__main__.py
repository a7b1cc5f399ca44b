"""``python <repository>/engine COMMAND ...``: the engine as a program."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:] = [str(HERE.parent), *(entry for entry in sys.path if Path(entry).resolve() != HERE)]

from engine.cli import main  # noqa: E402 the repository root has to be on sys.path first

if __name__ == "__main__":
    sys.exit(main())
