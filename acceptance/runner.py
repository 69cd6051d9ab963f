"""Runs the checks one after the other, and makes a result of each. A check that fails does not stop the others."""

import platform
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import botocore

from acceptance.claims import Claim, Evidence, NotTrue
from acceptance.report import Outcome, Report, Result
from acceptance.world import World
from infra.deploy import artifacts
from table_exports.domain.export import Export
from table_exports_cli.problems import CommandError

ROOT = Path(__file__).parents[1]
IN_SANDBOX = (
    "This run was in the sandbox. It shows that the product and this suite agree with the sandbox's model of AWS. "
    "Only a run in an account shows what is true of AWS."
)


def run(world: World, claims: Sequence[Claim], results: list[Result], say: Callable[[str], None]) -> None:
    """Adds the result of each claim to `results`, then says it: an interrupted run has all that was said."""
    for claim in claims:
        result = examine(world, claim)
        results.append(result)
        say(f"{result.outcome:<14}{claim.id:<24}{result.seconds:6.1f} s  {first_line(result)}")


def first_line(result: Result) -> str:
    return result.evidence.partition("\n")[0][:200]


def examine(world: World, claim: Claim) -> Result:
    """Returns the result of a claim's check, or the reason why it is not checked."""
    if claim.look is None:
        return result_of(claim, Outcome.NOT_CHECKABLE, f"{claim.not_by_program}. By hand: {claim.how}")
    if claim.disturbs and not world.own_system:
        return result_of(claim, Outcome.NOT_SHOWN, "It would disturb the exports of the existing common stack")
    if world.sandbox and not claim.rehearsed:
        return result_of(claim, Outcome.NOT_SHOWN, claim.not_in_sandbox)
    begun = time.monotonic()
    try:
        found = claim.look(world)
        outcome = Outcome.PASSED
    except (NotTrue, CommandError) as error:
        found, outcome = Evidence(str(error)), Outcome.FAILED
    except Exception as error:
        found, outcome = Evidence(f"{type(error).__name__}: {error}"), Outcome.FAILED
    if outcome == Outcome.PASSED and world.sandbox and claim.not_in_sandbox:
        outcome = Outcome.NOT_SHOWN
        found = Evidence(f"{claim.not_in_sandbox}. The check was rehearsed: {found.text}", found.figures)
    result = result_of(claim, outcome, found.text)
    return replace(result, figures=found.figures, seconds=round(time.monotonic() - begun, 1))


def result_of(claim: Claim, outcome: Outcome, evidence: str) -> Result:
    return Result(id=claim.id, subject=claim.subject, claim=claim.text, outcome=outcome, evidence=evidence)


def not_reached(claims: Sequence[Claim], results: Sequence[Result], reason: str) -> list[Result]:
    """Returns results for the claims that an interrupted run did not reach."""
    done = {result.id for result in results}
    return [result_of(claim, Outcome.NOT_SHOWN, reason) for claim in claims if claim.id not in done]


def report(world: World, results: Sequence[Result], show_account: bool, notes: Sequence[str] = ()) -> Report:
    caller = world.account.who.rpartition("/")[2]
    return Report(
        environment=environment(world),
        results=results,
        durations=[duration(export) for export in world.exported],
        notes=[IN_SANDBOX, *notes] if world.sandbox else notes,
        masked=() if show_account or world.sandbox else (world.account.id, caller),
    )


def environment(world: World) -> dict[str, str]:
    product = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return {
        "Environment": "sandbox" if world.sandbox else f"AWS account {world.account.id}",
        "Region": world.region,
        "Common stack": "of this run" if world.own_system else "existing",
        "Started": f"{world.started_at:%Y-%m-%d %H:%M} UTC",
        "Ended": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "table-exports": f"{product}, build {artifacts.version(world.build).strip()}",
        "boto3 and botocore": f"{boto3.__version__}, {botocore.__version__}",
        "Machine": f"Python {platform.python_version()}, {platform.system()} {platform.machine()}",
    }


def duration(export: Export) -> dict[str, Any]:
    """Returns how long an export took, in all and by stage."""
    row: dict[str, Any] = {"pipeline": export.pipeline, "became": export.stage.value}
    if export.ended_at:
        row["total"] = export.seconds(export.ended_at)
    ends = [*(step.since for step in export.steps[1:]), export.ended_at]
    for step, end in zip(export.steps, ends, strict=True):
        if end:
            row[step.stage.value] = row.get(step.stage.value, 0) + round((end - step.since).total_seconds())
    return row
