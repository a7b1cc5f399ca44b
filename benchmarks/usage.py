"""What one child process used."""

from __future__ import annotations

import os
import resource
import subprocess


def wait(process: subprocess.Popen[str]) -> tuple[int, resource.struct_rusage]:
    """A child's exit status and what it used; among all children's, its memory would be lost."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage
