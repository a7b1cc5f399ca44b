"""What can go wrong, in words that a geomorphologist understands."""

from __future__ import annotations


class EngineError(Exception):
    """Bad input or a state the engine cannot work in.

    Parameters
    ----------
    code : str
        stable, lower_snake_case, for programs and tests: ``no_crs``, ``band_missing``, ``disk_full`` ...
    text : str
        what is wrong, with the file and the value, and what to do about it.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Cancelled(EngineError):
    """The person cancelled; unless ``text`` says otherwise, nothing was left under the output's name."""

    def __init__(self, text: str = "Cancelled. Nothing was written under the output's name.") -> None:
        super().__init__("cancelled", text)
