"""The report and what becomes of each claim, on checks made for the test."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from examples import an_export

from acceptance import runner
from acceptance.claims import Claim, Evidence, NotTrue
from acceptance.report import Outcome, Report, Result
from acceptance.world import World
from infra.deploy.account import Account
from table_exports.domain.stages import Stage

ACCOUNT = Account(None, "999888777666", "eu-west-1", "arn:aws:sts::999888777666:assumed-role/Admin/someone@example.com")


def a_world(tmp_path, sandbox=False, own_system=True):
    (tmp_path / "version.txt").write_text("abc123")
    return World(ACCOUNT, build=tmp_path, folder=tmp_path, sandbox=sandbox, own_system=own_system)


def a_claim(look=None, **given):
    texts = {"id": "a-claim", "subject": "Events", "text": "Events arrive", "how": "looks at a queue"}
    return Claim(**texts | {"look": look, "rehearsed": True, **given})


def holds(world):
    return Evidence("three events", {"events": 3})


def breaks(world):
    raise NotTrue("no event arrived")


def crashes(world):
    return {}["missing"]


def test_a_claim_that_holds_passes_with_its_evidence(tmp_path):
    result = runner.examine(a_world(tmp_path), a_claim(holds))

    assert (result.outcome, result.evidence, result.figures) == (Outcome.PASSED, "three events", {"events": 3})


def test_failures_of_checks_are_results_and_do_not_stop_the_others(tmp_path):
    said, results = [], []
    claims = [a_claim(look, id=look.__name__) for look in (breaks, crashes, holds)]

    runner.run(a_world(tmp_path), claims, results, said.append)

    assert [(each.id, each.outcome, each.evidence) for each in results] == [
        ("breaks", "failed", "no event arrived"),
        ("crashes", "failed", "KeyError: 'missing'"),
        ("holds", "passed", "three events"),
    ]
    assert [line.split()[0] for line in said] == ["failed", "failed", "passed"]


def test_an_interrupted_run_has_the_result_of_each_check_that_it_named(tmp_path):
    results = []

    def say(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run(a_world(tmp_path), [a_claim(holds)], results, say)

    assert [each.outcome for each in results] == ["passed"]


@pytest.mark.parametrize(("look", "outcome"), [(holds, "not shown"), (breaks, "failed")])
def test_what_the_sandbox_cannot_show_is_never_passed(tmp_path, look, outcome):
    claim = a_claim(look, not_in_sandbox="There is no such service")

    result = runner.examine(a_world(tmp_path, sandbox=True), claim)

    assert result.outcome == outcome
    assert runner.examine(a_world(tmp_path), a_claim(holds, not_in_sandbox="x")).outcome == "passed"


def test_a_check_that_is_not_rehearsed_does_not_run_in_the_sandbox(tmp_path):
    claim = a_claim(breaks, rehearsed=False, not_in_sandbox="There is no such service")

    result = runner.examine(a_world(tmp_path, sandbox=True), claim)

    assert (result.outcome, result.evidence) == ("not shown", "There is no such service")


def test_a_check_that_disturbs_does_not_run_in_an_existing_system(tmp_path):
    result = runner.examine(a_world(tmp_path, own_system=False), a_claim(breaks, disturbs=True))

    assert (result.outcome, "disturb" in result.evidence) == ("not shown", True)


def test_a_claim_without_a_check_says_what_a_person_can_do(tmp_path):
    claim = a_claim(None, not_by_program="It needs a person")

    result = runner.examine(a_world(tmp_path), claim)

    assert (result.outcome, result.evidence) == ("not checkable", "It needs a person. By hand: looks at a queue")


def a_result(name, outcome, evidence="seen", **figures):
    return Result(id=name, subject="Events", claim="Events arrive", outcome=outcome, evidence=evidence, figures=figures)


def test_the_report_has_all_results_and_masks_the_account(tmp_path):
    world = a_world(tmp_path)
    results = [
        a_result("one", Outcome.PASSED, "arn:aws:sqs:eu-west-1:999888777666:queue", events=3),
        a_result("two", Outcome.FAILED, "no event | or\ntwo"),
        a_result("three", Outcome.NOT_SHOWN, "no such service"),
        a_result("four", Outcome.NOT_CHECKABLE, "a person"),
    ]

    report = runner.report(world, results, show_account=False, notes=["Interrupted"])
    files = report.write(tmp_path / "found")

    assert report.failed
    assert report.summary == "1 passed, 1 failed, 1 not shown, 1 not checkable"
    markdown, content = (path.read_text() for path in files)
    assert "999888777666" not in markdown + content
    assert "someone@example.com" not in markdown + content
    assert "| `two` | Events arrive | no event \\| or<br>two |" in markdown
    assert markdown.index("## Failed") < markdown.index("## Passed") < markdown.index("## Not shown")
    assert "> Interrupted" in markdown
    parsed = json.loads(content)
    assert [each["outcome"] for each in parsed["results"]] == ["passed", "failed", "not shown", "not checkable"]
    assert parsed["results"][0]["figures"] == {"events": 3}
    assert parsed["environment"]["table-exports"].endswith("build abc123")
    assert parsed["environment"]["Region"] == "eu-west-1"
    assert "999888777666" in runner.report(world, results, show_account=True).as_json()


def test_a_report_of_the_sandbox_says_that_it_proves_nothing_of_aws(tmp_path):
    report = runner.report(a_world(tmp_path, sandbox=True), [], show_account=False)

    assert "This run was in the sandbox" in report.as_markdown()
    assert not report.failed


def test_an_interrupted_run_reports_what_it_did_not_reach():
    claims = [a_claim(holds, id="done"), a_claim(holds, id="not done")]

    results = runner.not_reached(claims, [a_result("done", Outcome.PASSED)], "The run ended")

    assert [(each.id, each.outcome, each.evidence) for each in results] == [("not done", "not shown", "The run ended")]


def test_durations_are_by_stage():
    at = [datetime(2026, 11, 23, 2, minute, tzinfo=UTC) for minute in range(5)]
    export = an_export(requested_at=at[0], waiting_since=at[0]).with_step().run_job("jr_1", at[1])
    export = export.advance(Stage.PUBLISHING, "q", at[3]).succeed(at[4])

    row = runner.duration(export)

    assert row | {"EXPORTING": 120, "PUBLISHING": 60} == row
    assert row["became"] == "SUCCEEDED"


def test_a_report_can_be_empty():
    assert Report(environment={}, results=[]).as_markdown().startswith("# Acceptance report")
    assert isinstance(runner.ROOT, Path)
