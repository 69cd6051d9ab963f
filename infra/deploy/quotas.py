"""Compares the resources that a deployment adds with the quotas of the account, before anything changes."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.deploy.account import Account
from infra.deploy.stacks import Plan


@dataclass(frozen=True, kw_only=True)
class Usage:
    """How many resources of a kind exist, and how many the account can have."""

    used: int
    quota: int
    is_default: bool = False  # the account's own quota could not be read


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of resource whose number grows with the number of tables. docs/limits.md lists the same quotas."""

    name: str
    usage: Callable[[Account], Usage]
    service: str  # as Service Quotas names it


def roles(account: Account) -> Usage:
    summary = account.client("iam").get_account_summary()["SummaryMap"]
    return Usage(used=summary["Roles"], quota=summary["RolesQuota"])


def jobs(account: Account) -> Usage:
    return in_glue(account, "get_jobs", "Jobs", "Max jobs per account", 2000)


def crawlers(account: Account) -> Usage:
    return in_glue(account, "get_crawlers", "Crawlers", "Max crawlers per account", 1000)


def in_glue(account: Account, operation: str, key: str, quota: str, default: int) -> Usage:
    pages = account.client("glue").get_paginator(operation).paginate()
    used = sum(len(page[key]) for page in pages)
    applied = quota_of(account, "glue", quota)
    return Usage(used=used, quota=default if applied is None else applied, is_default=applied is None)


def quota_of(account: Account, service: str, name: str) -> int | None:
    """Returns the quota of the account. None if Service Quotas does not say: then the caller uses AWS's default."""
    try:
        pages = account.client("service-quotas").get_paginator("list_service_quotas").paginate(ServiceCode=service)
        found = [quota["Value"] for page in pages for quota in page["Quotas"] if quota["QuotaName"] == name]
    except (BotoCoreError, ClientError):
        return None
    return int(found[0]) if found else None


KINDS = {
    "AWS::IAM::Role": Kind(name="IAM roles", usage=roles, service="iam"),
    "AWS::Glue::Job": Kind(name="Glue jobs", usage=jobs, service="glue"),
    "AWS::Glue::Crawler": Kind(name="Glue crawlers", usage=crawlers, service="glue"),
}


def exceeded(account: Account, plans: Iterable[Plan]) -> tuple[list[str], list[str]]:
    """Returns what exceeds a quota of the account, and what exceeds a default or could not be compared.

    A stack removes resources after it has added others, so those that it removes still count.
    """
    added = Counter(change.type for plan in plans for change in plan.changes if change.action == "Add")
    certain, possible = [], []
    for kind_type, kind in KINDS.items():
        if not added[kind_type]:
            continue
        try:
            usage = kind.usage(account)
        except (BotoCoreError, ClientError) as error:
            possible.append(f"The quota of {kind.name} could not be read: {reason(error)}")
            continue
        if usage.used + added[kind_type] > usage.quota:
            text = (
                f"{kind.name}: the deployment adds {added[kind_type]} to {usage.used}, and the account can have "
                f"{usage.quota}{' by default' if usage.is_default else ''}. Request an increase in Service Quotas "
                f"(service {kind.service}), or deploy fewer tables at once with --only"
            )
            (possible if usage.is_default else certain).append(text)
    return certain, possible


def reason(error: Any) -> str:
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else str(error)
