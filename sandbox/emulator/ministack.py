"""Runs MiniStack, the emulator behind the gateway, as a child process in its own environment."""

import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from sandbox.cloud import ACCOUNT, REGION, ROOT
from sandbox.emulator.processes import kill

PYTHON = Path(__file__).parents[2] / ".venv-emulator" / "bin" / "python"
START = Path(__file__).with_name("start.py")
START_SECONDS = 60


class CannotStart(Exception):
    """The sandbox cannot start. The message says what to do."""


class Emulator:
    def __init__(self, gateway_url: str, folder: Path) -> None:
        """Starts the emulator. Its Lambda functions call AWS at `gateway_url`. Raises CannotStart."""
        if not PYTHON.exists():
            raise CannotStart(f"{PYTHON.parent.parent} is missing: run make setup")
        self.log = folder / "emulator.log"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        for name in ("tmp", "s3", "state"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TMPDIR": str(folder / "tmp"),
            "S3_DATA_DIR": str(folder / "s3"),
            "STATE_DIR": str(folder / "state"),
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "LOG_LEVEL": "INFO",
            "AUTH": "true",
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ROOT.access_key,
            "AWS_SECRET_ACCESS_KEY": ROOT.secret_key,
            "AWS_ENDPOINT_URL": gateway_url,
            "ATHENA_ENGINE": "mock",
            "LAMBDA_EXECUTOR": "local",
            "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.2",
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(PYTHON), "-P", str(START)],  # -P: the files next to it are not modules of the emulator
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> None:
        kill(self.process)  # a graceful end would wait for running calls; it has nothing to save

    def wait_until_ready(self) -> None:
        """Raises CannotStart if it does not become ready."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=5):
                    return
            except OSError:
                time.sleep(0.05)
        raise CannotStart(f"The emulator did not start. Its log ends with:\n{self.log.read_text()[-2000:]}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
