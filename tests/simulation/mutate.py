"""Apply each mutation to a copy of the code, and see that the simulation finds it out."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from simulation.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]
COPIED = ("services", "table_exports", "table_exports_cli", "tests", "infra")


def mutate(names: list[str], histories: int) -> int:
    """How many mutations were not found out, or could not be made."""
    chosen = [mutation for mutation in MUTATIONS if not names or mutation.name in names]
    unknown = set(names) - {mutation.name for mutation in chosen}
    missed = len(unknown)
    for name in unknown:
        print(f"There is no mutation {name!r}")
    outcome, found = _try(None, histories)
    if found:
        print(f"The code as it is breaks a promise, so that no mutation can be distinguished from it: {outcome}")
        return 1
    print(f"as it is, the code {outcome}", flush=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutation, outcome, found in pool.map(lambda mutation: (mutation, *_try(mutation, histories)), chosen):
            missed += not found
            print(f"{'found ' if found else 'MISSED'}  {mutation.name:<52} {outcome}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} mutations found")
    return missed


def _try(mutation: Mutation | None, histories: int) -> tuple[str, bool]:
    with tempfile.TemporaryDirectory() as copy:
        for folder in COPIED:
            shutil.copytree(ROOT / folder, Path(copy) / folder, ignore=shutil.ignore_patterns("__pycache__"))
        if mutation:
            file = Path(copy) / mutation.file
            text = file.read_text()
            if text.count(mutation.old) != 1:
                return f"its text is {text.count(mutation.old)} times in {mutation.file}", False
            file.write_text(text.replace(mutation.old, mutation.new))
        command = [sys.executable, "-m", "simulation", "find", "--histories", str(histories)]
        paths = os.pathsep.join(str(Path(copy) / folder) for folder in ("", "services", "tests"))
        ran = subprocess.run(
            command, cwd=copy, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False
        )
    if ran.returncode:
        return f"the simulation does not run: {ran.stderr.strip().splitlines()[-1]}", False
    found = json.loads(ran.stdout.splitlines()[-1])
    if not found["broken"]:
        return f"survives {found['histories']} histories", False
    return f"after {found['histories']:>4} histories: {found['broken']['promise']}", True
