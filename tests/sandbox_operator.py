"""Someone with a folder of files, who deploys from there to a sandbox with `make deploy`'s command."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

from sandbox_user import PATIENCE_SECONDS, ROOT, User

BUCKET = "table-exports-artifacts-123456789012-us-east-1"
SETTINGS = f"""
account = "123456789012"
region = "us-east-1"
artifacts_bucket = "{BUCKET}"
[parameters]
HistoryDays = 30
[tags]
team = "data"
"""


class Operator:
    """Someone with a folder of files, who deploys from there."""

    def __init__(self, folder, endpoint):
        self._folder = folder
        self.user = User(endpoint)
        self._environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "200",
        }

    def write(self, name, text):
        (self._folder / name).write_text(text)

    def deploy(self, *options):
        """The exit code, what was said, and what became of each stack."""
        command = [sys.executable, "-m", "infra.deploy", "--build", str(ROOT / "build"), *options]
        ran = subprocess.run(
            command, cwd=self._folder, env=self._environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        said = ran.stdout + ran.stderr
        became = dict(re.findall(r"│ (table-exports-[a-z-]+) +│ ([a-z ]+?) +│", said))
        return ran.returncode, said, became

    def interrupted(self, words, number, *options):
        """The exit code and what was said by a deployment that gets a signal when it has said these words."""
        command = [sys.executable, "-m", "infra.deploy", "--build", str(ROOT / "build"), *options]
        screen, its_end = pty.openpty()
        with subprocess.Popen(
            command,
            cwd=self._folder,
            env=self._environment,
            stdin=its_end,
            stdout=its_end,
            stderr=its_end,
            start_new_session=True,
            # A shell in the background ignores Ctrl+C, and so would this process.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process:
            os.close(its_end)
            impatient = threading.Timer(PATIENCE_SECONDS, process.kill)
            impatient.start()
            said, signalled = "", False
            with suppress(OSError):  # the end of a terminal
                while more := os.read(screen, 4096):
                    said += more.decode(errors="replace")
                    if words in said and not signalled:
                        time.sleep(0.5)  # Python misses a signal right before it waits for a key, until there is one
                        process.send_signal(number)
                        signalled = True
        impatient.cancel()
        os.close(screen)
        return process.returncode, said

    def doctor(self):
        command = [sys.executable, "-m", "table_exports_cli.app", "--region", "us-east-1", "doctor", "-o", "json"]
        ran = subprocess.run(command, cwd=self._folder, env=self._environment, capture_output=True, text=True)
        return json.loads(ran.stdout)

    def outputs(self, name):
        return {output["OutputKey"]: output["OutputValue"] for output in self.stack(name)["Outputs"]}

    def stack(self, name):
        [stack] = self.user.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        return stack
