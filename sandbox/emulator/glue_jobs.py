"""Keeps the properties of Glue jobs that MiniStack forgets: how many runs there may be, and whether others wait.

Runs in the emulator's process.
"""

from typing import Any

from ministack.services import glue
from ministack.services.cloudformation import provisioners

DEFAULTS = {"ExecutionProperty": {"MaxConcurrentRuns": 1}, "JobRunQueuingEnabled": False}
create_job, update_job = glue._create_job, glue._update_job


def kept(given: dict) -> dict:
    return {name: given[name] for name in DEFAULTS if name in given}


def create(data: dict) -> Any:
    response = create_job(data)
    if response[0] == 200:
        glue._jobs[data["Name"]] |= DEFAULTS | kept(data)
    return response


def update(data: dict) -> Any:
    response = update_job(data)
    if response[0] == 200:
        glue._jobs[data["JobName"]] |= kept(data.get("JobUpdate", {}))
    return response


glue._create_job, glue._update_job = create, update
provisioners._GLUE_JOB_DEFAULTS |= DEFAULTS
