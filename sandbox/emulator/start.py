"""Starts MiniStack with what its CloudFormation lacks: drift-aware change sets, and the validation of properties.

The sandbox's gateway validates the properties of each resource, after MiniStack has resolved them. This file runs in
the emulator's environment, which contains nothing of the sandbox.
"""

import json
import os
import runpy
import urllib.request
from pathlib import Path

from ministack.app import main
from ministack.services.cloudformation import handlers, stacks

VALIDATE = f"{os.environ['AWS_ENDPOINT_URL']}/_sandbox/properties"
create, update = stacks._provision_resource, stacks._update_resource


def create_valid(resource_type: str, logical_id: str, props: dict, stack_name: str) -> tuple:
    ensure_valid(resource_type, logical_id, props)
    return create(resource_type, logical_id, props, stack_name)


def update_valid(
    resource_type: str,
    physical_id: str,
    old_props: dict,
    new_props: dict,
    stack_name: str,
    logical_id: str | None = None,
    old_attrs: dict | None = None,
) -> tuple:
    if new_props != old_props:
        ensure_valid(resource_type, logical_id or physical_id, new_props)
    return update(resource_type, physical_id, old_props, new_props, stack_name, logical_id, old_attrs)


def ensure_valid(resource_type: str, logical_id: str, props: dict) -> None:
    """Raises ValueError, which becomes the reason of CREATE_FAILED or UPDATE_FAILED."""
    content = {"type": resource_type, "logical_id": logical_id, "properties": props}
    request = urllib.request.Request(VALIDATE, data=json.dumps(content, default=str).encode(), method="POST")
    with urllib.request.urlopen(request) as response:
        if problem := json.load(response)["problem"]:
            raise ValueError(problem)


stacks._provision_resource, stacks._update_resource = create_valid, update_valid
drift_aware = runpy.run_path(str(Path(__file__).with_name("drift_aware.py")))
handlers._ACTION_HANDLERS |= {"CreateChangeSet": drift_aware["create"], "ExecuteChangeSet": drift_aware["execute"]}
main()
