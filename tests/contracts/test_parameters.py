"""The parameters of a table stack are the same in the domain, in the template and in the documentation."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from examples import NOW
from templates import INFRA, resource, template

from register_pipeline.handler import configured, scheduled
from table_exports.domain.parameters import DPUS, PARAMETERS
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.reports.health import LEAST_SLACK

DECLARED = template("table")["Parameters"]
PASSED = resource("table", "Pipeline")["Properties"]
NOT_PARAMETERS = {"ServiceToken", "ServiceTimeout", "Bucket", "TableRoleArn"}  # the stack's own, not its user's
DOCUMENTED = (INFRA.parent / "docs/deploy.md").read_text()


def test_the_template_passes_each_parameter_and_no_other():
    assert set(PASSED) - NOT_PARAMETERS == set(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_default_is_the_templates(name):
    declared = DECLARED[name].get("Default")

    assert PARAMETERS[name].default == (None if declared is None else str(declared))


@pytest.mark.parametrize("name", sorted(set(PARAMETERS) - {"TableName", "CatalogName"}))
def test_the_default_is_documented(name):
    [row] = [line for line in DOCUMENTED.splitlines() if re.match(rf"\|[^|]*`{name}`[^|]*\|", line)]
    names, defaults = ([each.strip() for each in cell.replace("`", "").split(",")] for cell in row.split("|")[1:3])

    assert dict(zip(names, defaults, strict=True))[name] == PARAMETERS[name].default


def test_an_accepted_value_has_a_form_that_the_domain_accepts_too():
    for name, parameter in PARAMETERS.items():
        declared = DECLARED[name]
        for value in [declared.get("MinValue"), declared.get("MaxValue"), *declared.get("AllowedValues", [])]:
            if value is not None:
                assert parameter.value({name: str(value)}) == str(value)


def test_a_run_at_the_end_of_the_longest_window_is_not_late():
    assert timedelta(minutes=DECLARED["ScheduleWindowMinutes"]["MaxValue"]) * 2 <= LEAST_SLACK


def test_each_worker_type_has_its_size():
    assert set(DPUS) == set(DECLARED["WorkerType"]["AllowedValues"])


def test_a_pipeline_has_the_defaults_if_its_stack_says_nothing():
    """A stack of an earlier version lacks the parameters of later ones."""
    properties = {"TableName": "Reviews", "Bucket": "bucket"}
    from_stack = scheduled(configured(properties, "stack"), properties, None, NOW)
    plain = Pipeline(**{name: getattr(from_stack, name) for name in REQUIRED})

    for name in DEFAULTED:
        assert getattr(from_stack, name) == getattr(plain, name), name
    assert (plain.read_percentage, plain.dpus, plain.max_attempts) == (Decimal("0.25"), 2, 2)


REQUIRED = (
    "pipeline",
    "stack_id",
    "table_name",
    "catalog_name",
    "output_format",
    "output_prefix",
    "glue_job_name",
    "crawler_name",
    "timeout_minutes",
)
DEFAULTED = (
    "dpus",
    "read_mode",
    "read_percentage",
    "read_capacity_cap",
    "max_read_cost",
    "max_attempts",
    "catalog_update",
    "keep_snapshots",
    "table_role_arn",
    "scheduled",
    "schedule_time_zone",
    "stale_after_seconds",
)


def test_whoever_deploys_a_table_reads_that_keys_become_names():
    """Before the first export, because such a name stays in every later manifest."""
    description = DECLARED["TableName"]["Description"]
    [section] = re.findall(r'docs/schema\.md, "([^"]+)"', description)

    assert f"\n### {section}\n" in (INFRA.parent / "docs/schema.md").read_text()
    assert f"schema.md#{section.lower().replace(' ', '-')}" in DOCUMENTED
