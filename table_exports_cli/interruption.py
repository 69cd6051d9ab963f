"""Lets a command clean up however it is interrupted."""

import signal


def interrupt_on_termination() -> None:
    """Treat SIGTERM and SIGHUP, for example of a closed terminal, as Ctrl+C: they raise KeyboardInterrupt."""
    for name in ("SIGTERM", "SIGHUP"):
        if number := getattr(signal, name, None):  # Windows has no SIGHUP
            signal.signal(number, signal.default_int_handler)
