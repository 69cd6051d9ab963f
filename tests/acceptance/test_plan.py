"""What a run creates and costs, and the registry of claims."""

import re
from collections import Counter
from pathlib import Path

import pytest

from acceptance import checks, docs, plan
from acceptance.claims import CLAIMS, SUBJECTS, Evidence, by_hand, check, in_order
from acceptance.report import Outcome
from infra.deploy.parameters import parameters
from infra.deploy.tables_file import read

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/unproven.md").read_text()
assert checks


def test_the_page_lists_the_claims_of_the_suite():
    listed = re.findall(r"^\| `([a-z0-9-]+)` \|", PAGE, re.MULTILINE)

    assert sorted(listed) == sorted(CLAIMS)
    assert docs.page() == PAGE, f"docs/unproven.md is of another state of the checks: run {docs.COMMAND}"


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=lambda claim: claim.id)
def test_each_claim_is_checked_or_says_why_not(claim):
    assert re.fullmatch("[a-z0-9-]+", claim.id)
    assert claim.subject in SUBJECTS
    assert len(claim.text.split()) > 3
    assert bool(claim.look) != bool(claim.not_by_program)
    if claim.look:
        assert bool(claim.in_sandbox) != bool(claim.not_in_sandbox)
    else:
        assert len(claim.not_by_program.split()) > 4


def test_most_claims_are_checked():
    kinds = Counter("by hand" if not claim.look else "checked" for claim in CLAIMS.values())

    assert kinds["checked"] > 35
    assert kinds["by hand"] < 10


def test_checks_that_cause_failures_run_after_those_that_need_quiet():
    order = [claim.id for claim in in_order(CLAIMS)]

    assert order.index("doctor") < order.index("alarms-quiet") < order.index("error-message")
    assert order.index("alarm-failing") < order.index("resume") < order.index("replay")
    assert order[-1] == "adopt-retained"


def test_two_claims_cannot_have_one_id():
    with pytest.raises(ValueError, match="deploy: two claims have this id"):
        by_hand("deploy", "Events", "x", "x", "x")
    with pytest.raises(ValueError, match="is not one of"):
        by_hand("another", "Weather", "x", "x", "x")
    with pytest.raises(ValueError, match="either in_sandbox or not_in_sandbox"):
        check("another", "Events", "x", "x")(lambda world: Evidence("x"))


def test_the_tables_file_has_every_format_and_both_read_modes(tmp_path):
    path = tmp_path / "tables.yaml"
    path.write_text(plan.tables_file(plan.PIPELINES, {"films": {"ScheduleState": "ENABLED"}}))

    stacks = {stack.stack: stack.parameters for stack in read(path, parameters(ROOT / "infra/table.yaml"))}

    assert {given["OutputFormat"] for given in stacks.values()} == {"parquet", "orc", "avro", "json", "csv"}
    assert {given["ReadMode"] for given in stacks.values()} == {"scan", "export"}
    assert stacks["table-exports-acceptance-films"]["ScheduleState"] == "ENABLED"
    assert all(name.startswith("table-exports-acceptance-") for name in stacks)
    assert all(given["CatalogName"].startswith("acceptance_") for given in stacks.values())


def test_a_run_costs_less_than_the_default_limit():
    cost = plan.total(plan.costs())

    assert 1 < cost <= 2.00
    plan.require_within(plan.LIMIT, plan.costs())
    with pytest.raises(plan.TooExpensive, match=r"more than the limit of \$1\.00.*--limit"):
        plan.require_within(1.00, plan.costs())


def test_a_run_in_an_existing_system_costs_less():
    assert plan.total(plan.costs(own_system=False)) < plan.total(plan.costs())


def test_the_user_confirms_account_region_resources_time_and_cost():
    text = plan.description("123456789012", "eu-west-1", "arn:user", "https://vpce.example", plan.costs(), own=True)

    for part in ("123456789012", "eu-west-1", "arn:user", "https://vpce.example", "common stack", "4 hours", "$1.9"):
        assert part in text


def test_results_have_the_four_outcomes_of_the_page():
    assert [str(outcome) for outcome in Outcome] == ["passed", "failed", "not shown", "not checkable"]
    assert all(f"**{outcome}**" in PAGE for outcome in Outcome)
