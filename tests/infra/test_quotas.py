"""A deployment that the account has no room for is refused before anything changes."""

import re
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.deploy import quotas
from infra.deploy.changes import Change
from infra.deploy.stacks import Plan, Stack

DENIED = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "ListServiceQuotas")


def plan(*types, action="Add"):
    changes = tuple(Change(action=action, name=f"X{n}", type=kind, replacement="") for n, kind in enumerate(types))
    stack = Stack(name="table-exports-orders-parquet", template_url="u", parameters={})
    return Plan(stack=stack, creates=True, change_set="c", changes=changes)


def account(*, roles=(10, 1000), jobs=0, crawlers=0, applied=None):
    """An account with so many resources, and its own quotas by name. Without them, it may not read them."""

    def quotas_of(**_):
        if applied is None:
            raise DENIED
        return [{"Quotas": [{"QuotaName": name, "Value": float(value)} for name, value in applied.items()]}]

    pages = {
        "get_jobs": lambda: [{"Jobs": ["x"] * jobs}],
        "get_crawlers": lambda: [{"Crawlers": ["x"] * crawlers}],
        "list_service_quotas": quotas_of,
    }
    client = SimpleNamespace(
        get_account_summary=lambda: {"SummaryMap": {"Roles": roles[0], "RolesQuota": roles[1]}},
        get_paginator=lambda operation: SimpleNamespace(paginate=pages[operation]),
    )
    return SimpleNamespace(client=lambda service: client)


TABLE = ("AWS::IAM::Role", "AWS::IAM::Role", "AWS::Glue::Job", "AWS::Glue::Crawler")


def test_what_fits_is_not_mentioned():
    assert quotas.exceeded(account(roles=(996, 1000)), [plan(*TABLE), plan(*TABLE)]) == ([], [])


def test_roles_beyond_the_quota_are_refused_with_the_remedy():
    certain, possible = quotas.exceeded(account(roles=(997, 1000)), [plan(*TABLE), plan(*TABLE)])

    assert certain == [
        "IAM roles: the deployment adds 4 to 997, and the account can have 1000. Request an increase in Service Quotas "
        "(service iam), or deploy fewer tables at once with --only"
    ]
    assert possible == []


@pytest.mark.parametrize(
    ("applied", "refused"), [({"Max crawlers per account": 1000}, True), ({"Max crawlers per account": 5000}, False)]
)
def test_the_quota_that_the_account_has_counts(applied, refused):
    certain, possible = quotas.exceeded(account(crawlers=1000, applied=applied), [plan(*TABLE)])

    assert ([text.partition(":")[0] for text in certain], possible) == (["Glue crawlers"] if refused else [], [])


def test_a_default_that_may_have_been_increased_is_a_warning():
    certain, possible = quotas.exceeded(account(jobs=2000), [plan(*TABLE)])

    assert certain == []
    assert len(possible) == 1
    assert possible[0].startswith("Glue jobs: the deployment adds 1 to 2000, and the account can have 2000 by default")


def test_who_may_not_count_is_told_and_can_go_on():
    def refuse():
        raise DENIED

    found = account()
    found.client("iam").get_account_summary = refuse

    certain, possible = quotas.exceeded(found, [plan(*TABLE)])

    assert (certain, possible) == ([], ["The quota of IAM roles could not be read: AccessDeniedException"])


def test_an_update_that_adds_nothing_asks_nothing():
    assert quotas.exceeded(None, [plan(*TABLE, action="Modify"), plan("AWS::Scheduler::Schedule")]) == ([], [])


def test_each_operation_that_is_paginated_has_a_paginator():
    """`list_crawlers` has none, so that the quota of crawlers could never be read."""
    root = Path(__file__).parents[2]
    folders = ("infra", "table_exports", "table_exports_cli", "services", "acceptance")
    texts = [file.read_text() for folder in folders for file in (root / folder).rglob("*.py")]
    called = {
        found
        for text in texts
        for pattern in (r'client\("([\w-]+)"\)\.get_paginator\("(\w+)"\)', r'_all\(\s*"(\w+)", "(\w+)"')
        for found in re.findall(pattern, text)
    } | {("glue", found) for text in texts for found in re.findall(r'in_glue\(account, "(\w+)"', text)}

    assert len(called) > 15
    clients = {service: boto3.client(service, region_name="us-east-1") for service, _ in called}
    assert [pair for pair in sorted(called) if not clients[pair[0]].can_paginate(pair[1])] == []
