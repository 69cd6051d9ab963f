"""Ends child processes with all that they started. Each child leads a process group of its own."""

import os
import signal
import subprocess
from contextlib import suppress

GRACE_SECONDS = 5


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the process and its group, and wait for it."""
    _signal(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
