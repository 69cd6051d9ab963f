"""Plays the same histories each time. `make simulate` plays others, and as many as you want."""

import gc
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from moto.dynamodb.models.dynamo_type import Item

from simulation import search as searching
from simulation.__main__ import chunks_of, progress
from simulation.aws.events import rules_of_the_template
from simulation.faults import STEPS, Act, CallFault, Fate
from simulation.history import Config, History, Plan, services
from simulation.incidents import INCIDENTS
from simulation.mutate import ROOT
from simulation.mutations import MUTATIONS
from simulation.plans import plans
from simulation.world import Violation
from table_exports.aws.glue import Glue

HISTORIES, MORE_HISTORIES = 50, 1000
NIGHTLY = tuple(Act(at, "request") for at in (60.0, 7200.0, 14_400.0))  # where all is told late, each takes an hour
NEW = "add an attribute"
CALM = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


def play(plan):
    history = History(plan)
    history.run()
    return history


@settings(CALM, max_examples=HISTORIES, derandomize=True)
@given(plans())
def test_whatever_happens_every_promise_is_kept(plan):
    play(plan)


@pytest.mark.parametrize("plan", INCIDENTS.values(), ids=INCIDENTS)
def test_in_a_known_incident_every_promise_is_kept(plan):
    play(plan)


@pytest.mark.slow
def test_in_more_histories_every_promise_is_kept():
    coverage, broken = searching.search(MORE_HISTORIES, 1)

    assert broken is None, broken
    assert coverage.histories >= MORE_HISTORIES


@pytest.mark.parametrize("read_mode", ["scan", "export"])
def test_where_nothing_goes_wrong_every_export_succeeds_at_its_first_attempt(read_mode):
    plan = Plan(acts=NIGHTLY)
    history = play(plan.with_pipelines(read_mode=read_mode))

    assert history.watcher.ended == {"SUCCEEDED": 3}
    assert [run.arguments["--attempt"] for run in history.glue.all_runs] == ["1", "1", "1"]


@pytest.mark.parametrize(("keep_snapshots", "kept"), [(0, 3), (1, 1), (2, 2)])
def test_snapshots_that_a_pipeline_does_not_keep_are_removed(monkeypatch, keep_snapshots, kept):
    monkeypatch.setattr(History, "deliver_last_success", lambda history, pipeline: None)  # its own events suffice

    history = play(Plan(acts=NIGHTLY).with_pipelines(keep_snapshots=keep_snapshots))

    files = {key for _, key in history.s3.objects if "/snapshot_timestamp=" in key}
    manifests = {key for _, key in history.s3.objects if "/manifests_" in key}
    [partitions] = history.glue.partitions.values()
    assert (len(files), len(manifests), len(partitions)) == (kept, kept, kept)
    assert max(files).endswith(f"snapshot_timestamp={history.athena.views['table1']}/part-00000.zstd.parquet")


@pytest.mark.parametrize("wide", [False, True])
def test_all_views_of_entities_show_the_last_snapshot(wide):
    acts = (*NIGHTLY[:2], Act(9000.0, "a type appears"), Act(9060.0, "a type disappears"), Act(9120.0, NEW), NIGHTLY[2])

    history = play(Plan(acts=acts).with_pipelines(entities=2, wide=wide))

    names = ["table1"] * wide + ["table1_a", "table1_b", "table1_c"]
    assert history.watcher.ended == {"SUCCEEDED": 3}
    assert sorted(history.athena.views) == names
    assert len(set(history.athena.views.values())) == 1
    appeared = [event["detail"] for _, event in history.buses.sent if event["detail-type"] == "Entity Appeared"]
    assert [(found["entity"], found["value"]) for found in appeared] == [
        ("table1_a", "a"),
        ("table1_b", "b"),
        ("table1_c", "c"),
    ]
    assert history.glue.crawlers == {}


def test_entities_that_are_gone_after_someone_started_over_are_released():
    acts = (*NIGHTLY[:2], Act(9000.0, "start over"), Act(9060.0, NEW), NIGHTLY[2])

    history = play(Plan(acts=acts).with_pipelines(entities=3))

    assert history.watcher.ended == {"SUCCEEDED": 3}
    assert sorted(history.athena.views) == ["table1_b", "table1_c"]
    assert history.cloud.records.pipeline("table1-parquet").entities == ("table1_b", "table1_c")
    assert history.cloud.records.holder("table1_a") is None


def test_an_export_that_is_resumed_after_someone_started_over_writes_its_snapshot_again():
    acts = (
        Act(60.0, "request"),
        Act(240.0, "resume the last failure"),
        Act(240.0, "start over"),
        Act(3600.0, "request"),
    )
    plan = Plan(acts=acts, fates=(Fate("job run", 0, "FAILED after its manifest"),))

    history = play(plan.with_pipelines(entities=3, max_attempts=1))

    assert history.watcher.ended["SUCCEEDED"] == 2
    assert sorted(history.athena.views) == ["table1_b", "table1_c"]


def test_nobody_starts_over_while_a_query_is_running():
    acts = (Act(60.0, "request"), Act(600.0, "delete the stack"), Act(660.0, "start over"))
    plan = Plan(acts=acts, fates=(Fate("query", 0, "slow"),))

    history = play(plan.with_pipelines(entities=3))

    assert list(history.athena.views)


def test_a_written_snapshot_that_someone_deleted_is_not_published():
    acts = (Act(60.0, "request"), Act(7200.0, "start over"), Act(7260.0, "resume the last failure"))
    plan = Plan(acts=acts, fates=(Fate("query", 0, "FAILED"),))

    history = play(plan.with_pipelines(entities=3))

    assert history.watcher.ended["FAILED in EXPORTING: its manifest is gone"] == 1, history.watcher.ended
    assert history.athena.views == {}


def test_snapshots_of_entities_are_removed_together(monkeypatch):
    monkeypatch.setattr(History, "deliver_last_success", lambda history, pipeline: None)  # its own events suffice

    history = play(Plan(acts=NIGHTLY).with_pipelines(entities=3, wide=True, keep_snapshots=1))

    files = [key for _, key in history.s3.objects if "/snapshot_timestamp=" in key]
    assert len(files) == len(history.athena.views) == 4
    assert [len(partitions) for partitions in history.glue.partitions.values()] == [1, 1, 1, 1]


def test_the_name_of_another_pipeline_is_refused_before_a_view_changes():
    acts = (NIGHTLY[0], Act(3600.0, "a type appears"), NIGHTLY[1])

    history = play(Plan(pipelines=(Config(entities=3), Config(), Config()), acts=acts))

    assert history.watcher.ended == {"SUCCEEDED": 1, "FAILED in EXPORTING: a name is taken": 1}
    assert set(history.athena.views.values()) == {"2026-11-23T00-01-00Z"}


def test_an_entity_takes_the_name_of_a_pipeline_that_was_deleted_before_it_published():
    acts = (
        Act(60.0, "request"),
        Act(60.0, "request", 2),
        Act(60.0, "a type appears"),
        Act(180.0, "delete the stack", 2),
    )

    history = play(Plan(pipelines=(Config(entities=3), Config(), Config()), acts=acts))

    assert history.watcher.ended["SUCCEEDED"] == 1
    assert "table1_d" in history.athena.views


def test_an_entity_does_not_take_the_table_that_a_deleted_pipeline_left():
    acts = (
        Act(60.0, "request", 2),
        Act(600.0, "a type appears"),
        Act(600.0, "delete the stack", 2),
        Act(660.0, "request"),
    )

    history = play(Plan(pipelines=(Config(entities=3), Config(), Config()), acts=acts))

    assert history.watcher.ended["FAILED in EXPORTING: a table of another has the name"] == 1


@pytest.mark.parametrize("kind", ["crash before", "crash after", "throttled", "internal error", "answer lost for good"])
@pytest.mark.parametrize("function", ["on_glue_complete", "on_view_complete", "on_export_succeeded"])
def test_what_goes_wrong_once_keeps_no_entity_from_being_published(function, kind):
    acts = (*NIGHTLY[:2], Act(9000.0, NEW), NIGHTLY[2])
    for operation in STEPS[function]:
        for nth in (0, 3):
            plan = Plan(acts=acts, calls=(CallFault(function, operation, nth, kind),))
            history = play(plan.with_pipelines(entities=3, keep_snapshots=1))

            assert history.watcher.ended == {"SUCCEEDED": 3}, plan


def test_every_function_that_a_rule_invokes_is_played():
    rules, _ = rules_of_the_template()

    assert {rule.function for rule in rules} <= services().keys()


def test_a_defect_of_a_function_ends_the_search(monkeypatch):
    monkeypatch.setattr(services()["on_export_succeeded"], "superseded", None)

    with pytest.raises(Violation, match=r"(?s)no function has a defect: on_export_succeeded 1: .*'NoneType' object"):
        play(Plan(acts=NIGHTLY).with_pipelines(keep_snapshots=1))


@pytest.mark.parametrize("weather", ["every event comes twice", "no event of AWS comes", "events come in any order"])
def test_whatever_becomes_of_events_every_export_succeeds_in_the_end(weather):
    history = play(Plan(acts=NIGHTLY, weather=weather))

    assert history.watcher.ended == {"SUCCEEDED": 3}


@pytest.mark.parametrize("kind", ["crash before", "crash after", "throttled", "internal error", "answer lost for good"])
def test_what_goes_wrong_once_at_any_call_of_aws_keeps_no_export_from_succeeding(kind):
    for function, operations in STEPS.items():
        for operation in operations:
            fault = CallFault(function, operation, 0, kind)
            history = play(Plan(acts=NIGHTLY, calls=(fault,)))

            assert history.watcher.ended == {"SUCCEEDED": 3}, fault


def test_a_job_run_that_fails_is_repeated_once_and_what_a_person_stops_is_not():
    failed = play(Plan(acts=NIGHTLY[:1], fates=(Fate("job run", 0, "FAILED"),)))
    stopped = play(Plan(acts=NIGHTLY[:1], fates=(Fate("job run", 0, "STOPPED"),)))

    assert failed.watcher.ended == {"SUCCEEDED": 1}
    assert stopped.watcher.ended == {"FAILED in EXPORTING: its job run failed": 1}
    assert len(stopped.glue.all_runs) == 1


def test_the_same_seed_plays_the_same_history():
    def traces():
        found = []

        @settings(CALM, max_examples=10, derandomize=True)
        @given(plans())
        def note(plan):
            found.append(play(plan).world.told())

        note()
        return found

    assert traces() == traces()


def test_a_run_that_is_continued_plays_what_one_run_would_have_played():
    assert chunks_of(7, 0, 100) + chunks_of(7, 100, 70) == chunks_of(7, 0, 170)


def test_a_progress_line_says_what_was_played_and_how_long_the_rest_takes():
    faults = {"call: slow after": 3, "event: twice": 1}
    covered = searching.Coverage(histories=300, befell=Counter(faults), places=Counter({("f", "StartJobRun", "x"): 1}))

    line = progress(covered, 3300, seconds=60.0)

    assert line == "300 histories, 5.0 a second, 2 kinds of faults in 1 places, 10 min left"


def test_a_history_leaves_nothing_in_memory():
    """Moto keeps each of its models for a reset, and a history makes dozens."""

    def items():
        gc.collect()
        return sum(type(found) is Item for found in gc.get_objects())

    play(Plan(acts=NIGHTLY))
    before = items()

    play(Plan(acts=NIGHTLY))

    assert items() <= before


@pytest.mark.slow
def test_a_broken_promise_is_found_and_shown_with_its_history(monkeypatch):
    monkeypatch.setattr(Glue, "find_job_run", lambda self, export: None)  # so that nobody looks before starting a run

    coverage, broken = searching.search(2000, 1)

    assert broken is not None
    assert broken.promise in ("one live job run per export", "one job run per attempt")
    assert coverage.histories > 0
    assert "StartJobRun(--export_id=" in str(broken)
    assert str(broken).count("StartJobRun(") <= 4  # shrunk to what it takes


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_fits_the_code(mutation):
    text = (ROOT / mutation.file).read_text()

    assert text.count(mutation.old) == 1
    assert mutation.old != mutation.new


def test_mutations_have_names_of_their_own():
    names = [mutation.name for mutation in MUTATIONS]

    assert len(set(names)) == len(names) >= 20
