"""The simulation's shortcuts save time and change nothing."""

import json

import pytest
from hypothesis import HealthCheck, given, settings

from simulation import reuse
from simulation.aws import state_table
from simulation.aws.events import Pattern, rules_of_the_template
from simulation.history import History
from simulation.incidents import INCIDENTS
from simulation.plans import plans
from simulation.world import World
from table_exports.aws import records

PLANS = 12


@settings(max_examples=PLANS, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(plans())
def test_a_history_is_the_same_without_shortcuts(plan):
    assert told(plan) == told_without_shortcuts(plan)


@pytest.mark.parametrize("plan", list(INCIDENTS.values())[:4], ids=list(INCIDENTS)[:4])
def test_an_incident_is_the_same_without_shortcuts(plan):
    assert told(plan) == told_without_shortcuts(plan)


def told(plan):
    history = History(plan)
    history.run()
    trace = [(seconds, who, str(what)) for seconds, who, what in history.world.trace]
    return trace, history.world.steps, history.state.items, history.athena.views


def told_without_shortcuts(plan):
    whole, looked = state_table._to_moto, []

    def look_at_all(image, keys, wanted):
        looked.append(image)
        return whole(image, keys, frozenset(image))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(World, "passes_by", lambda self, seconds: False)
        patch.setattr(reuse, "Reused", lambda function: function)
        patch.setattr(Pattern, "matches", lambda self, event: self.moto.matches_event(event))
        patch.setattr(state_table, "_to_moto", look_at_all)
        found = told(plan)
    assert looked
    return found


EVENTS = [
    {"source": source, "detail-type": detail_type, "detail": detail, "time": time}
    for source in ("aws.glue", "aws.athena", "aws.s3", "table-exports", "someone.else")
    for detail_type in ("Glue Job State Change", "Athena Query State Change", "Export Requested", "Object Created")
    for detail in (
        {},
        {"jobName": "table-exports-a", "state": "FAILED"},
        {"jobName": "another", "state": "FAILED"},
        {"workgroupName": "table-exports", "currentState": "SUCCEEDED"},
        {"pipeline": "a", "resume_export_id": "0123"},
        {
            "bucket": {"name": "table-exports-123456789012-us-east-1"},
            "object": {"key": "staging/manifest-summary.json"},
        },
        {"bucket": "none", "object": [1]},
    )
    for time in (1, 2)  # of which no pattern speaks
]


def test_the_patterns_of_the_template_match_what_moto_matches():
    rules, archives = rules_of_the_template()
    for rule in [*rules, *archives]:
        found = [rule.pattern.matches(event) for event in EVENTS]

        assert found == [rule.pattern.moto.matches_event(event) for event in EVENTS], rule.name
        assert False in found


@pytest.mark.parametrize(("first", "then"), [("1", 1), (1, "1"), (None, "null"), ([1], "[1]"), ("", None), (True, 1)])
def test_a_pattern_does_not_take_one_value_for_another(first, then):
    pattern = Pattern(json.dumps({"detail": {"n": [first]}}))

    assert pattern.matches({"detail": {"n": first}}) == pattern.moto.matches_event({"detail": {"n": first}})
    assert pattern.matches({"detail": {"n": then}}) == pattern.moto.matches_event({"detail": {"n": then}})
    assert not pattern.matches({"detail": {}})
    assert not pattern.matches({"detail": "n"})


def test_records_are_parsed_anew_after_a_history():
    parsers = records.plain, records.export_of, records.pipeline_of
    with reuse.parsed_records():
        item = {"stage": {"S": "FAILED"}}

        assert records.plain(item) is records.plain(item)
        assert records.plain(dict(item)) is not records.plain(item)
    assert parsers == (records.plain, records.export_of, records.pipeline_of)
