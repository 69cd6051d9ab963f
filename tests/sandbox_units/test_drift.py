"""The emulator's CloudFormation reverts drift, as AWS does with a drift-aware change set."""

import json
import subprocess
from pathlib import Path

from sandbox.emulator.ministack import PYTHON, START

SCRIPT = Path(__file__).with_name("drift_in_emulator.py")


def test_what_was_changed_or_deleted_is_reverted_by_a_drift_aware_change_set_alone(tmp_path):
    ran = subprocess.run(
        [str(PYTHON), "-P", str(SCRIPT), str(START.with_name("drift_aware.py"))],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == {
        "created": "CREATE_COMPLETE",
        "without drift": "FAILED",  # nothing to change
        "ordinary": "FAILED",
        "changes": {"Schedule": "Modify", "Job": "Add"},
        "executed": "UPDATE_COMPLETE",
        "state": "ENABLED",
        "job": True,
        "afterwards": "FAILED",
    }
