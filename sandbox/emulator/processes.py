"""Ends child processes and all that they started. Each child is the leader of its own session."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

GRACE_SECONDS = 5


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and its group within a grace period, and waits for it."""
    _signal(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
    kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and its group immediately, and waits for it."""
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def can_find_callers() -> bool:
    return Path("/proc/net/tcp").exists()


def kill_caller(near: tuple[str, int], far: tuple[str, int], shared_session: int) -> None:
    """Kills the process at the other end of a connection, with its session unless that is the shared session.

    It never kills a process that this sandbox has not started.
    """
    ends = [_as_listed(far), _as_listed(near)]
    listed = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines())
    sockets = {f"socket:[{fields[9]}]" for fields in listed if fields[1:3] == ends}
    session_of = _descendants()
    for caller in [pid for pid in session_of if pid != shared_session and sockets & _open_files(pid)]:
        session = session_of[caller]
        for pid in [caller] if session == shared_session else [one for one in session_of if session_of[one] == session]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _as_listed(address: tuple[str, int]) -> str:
    return f"{int.from_bytes(socket.inet_aton(address[0]), sys.byteorder):08X}:{address[1]:04X}"


def _descendants() -> dict[int, int]:
    """Returns all processes of the sessions that our children lead, with their session ids."""
    found = {}
    for pid in (int(folder.name) for folder in Path("/proc").glob("[0-9]*")):
        with suppress(OSError):
            if _parent(session := os.getsid(pid)) == os.getpid():
                found[pid] = session
    return found


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _open_files(pid: int) -> set[str]:
    files = set()
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                files.add(os.readlink(link))
    return files
