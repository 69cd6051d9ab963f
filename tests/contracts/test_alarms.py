"""Every alarm can fire, tells someone, and says where to read what to do."""

import json
import re
from pathlib import Path

import pytest
from templates import STACKS, expanded, resources

from sandbox.cloudwatch.metrics_insights import query_of
from table_exports.domain.reports.metrics import METRICS

ROOT = Path(__file__).parents[2]
ALARMS = {
    name: found["Properties"] for stack in STACKS for name, found in resources(stack, "AWS::CloudWatch::Alarm").items()
}
[HEALTH] = [found["Properties"] for found in resources("common", "AWS::CloudWatch::CompositeAlarm").values()]
CALLED_BY_SOMEONE = {"RegisterPipeline", "PipelineWidget"}  # who waits for the answer, and sees the error


def text(value):
    return value["Fn::Sub"] if isinstance(value, dict) else value


def metrics_of(alarm):
    """Namespace, name and dimensions of all that an alarm looks at."""
    if "Metrics" not in alarm:
        return [(alarm["Namespace"], alarm["MetricName"], alarm["Dimensions"])]
    if query := query_of(alarm):
        return [(query.namespace, query.metric, [{"Name": query.dimension}])]
    stats = [query["MetricStat"]["Metric"] for query in alarm["Metrics"] if "MetricStat" in query]
    return [(metric["Namespace"], metric["MetricName"], metric["Dimensions"]) for metric in stats]


def sections():
    return set(re.findall(r"^#{2,3} (.+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE))


@pytest.mark.parametrize("alarm", [*ALARMS.values(), HEALTH], ids=[*ALARMS, "health"])
def test_an_alarm_says_where_the_runbook_says_what_to_do(alarm):
    [section] = re.findall(r'See docs/runbook\.md, "([a-z-]+)"$', text(alarm["AlarmDescription"]).strip())

    assert section in sections()
    assert text(alarm["AlarmName"]).endswith(f"-{section}")


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_tells_the_topic_of_its_beginning_and_its_end(name):
    told = [ALARMS[name].get(actions) for actions in ("AlarmActions", "OKActions")]

    assert told == [[{"Ref": "Alarms"}]] * 2


@pytest.mark.parametrize("name", ALARMS)
def test_no_alarm_takes_silence_for_trouble(name):
    """Or it would go off in the first minute, before there is anything to measure."""
    assert ALARMS[name]["TreatMissingData"] in ("notBreaching", "ignore")


def test_the_system_is_healthy_if_none_of_its_alarms_is_on():
    assert set(re.findall(r'ALARM\("\$\{(\w+)\}"\)', text(HEALTH["AlarmRule"]))) == ALARMS.keys()
    assert "AlarmActions" not in HEALTH


def test_one_alarm_for_each_problem_watches_all_pipelines_and_names_each():
    """A query with GROUP BY and ORDER BY makes each pipeline a contributor, of which CloudWatch notifies."""
    queries = [query for alarm in ALARMS.values() if (query := query_of(alarm))]

    assert {query.metric: query.dimension for query in queries} == dict.fromkeys(METRICS.values(), "pipeline")
    assert resources("table", "AWS::CloudWatch::Alarm") == {}  # one for each pipeline costs as much as a small job


@pytest.mark.parametrize("name", ALARMS)
def test_what_an_alarm_looks_at_is_measured_by_us_or_by_aws(name):
    ours = "".join(path.read_text() for path in [*ROOT.glob("services/*/*.py"), *ROOT.glob("table_exports/**/*.py")])
    for namespace, metric, dimensions in metrics_of(ALARMS[name]):
        if namespace != "table-exports":
            assert namespace in ("AWS/SQS", "AWS/Lambda", "AWS/Events")
            continue
        assert f'"{metric}"' in ours
        for dimension in dimensions:
            assert dimension["Name"] in ("service", "pipeline")
            assert dimension["Name"] == "pipeline" or (ROOT / "services" / dimension["Value"]).is_dir()


@pytest.mark.parametrize("alarm", ["FunctionsFailAlarm", "FunctionsThrottledAlarm"])
def test_every_function_that_nobody_waits_for_is_watched(alarm):
    functions = {
        name
        for name, found in resources("common", "AWS::Lambda::Function").items()
        if found["Properties"]["FunctionName"].startswith("table-exports-")
    }

    watched = [dimensions[0]["Value"]["Ref"] for _, _, dimensions in metrics_of(ALARMS[alarm])]

    assert sorted(watched) == sorted(functions - CALLED_BY_SOMEONE)


def test_the_delivery_of_every_rule_is_watched():
    rules = {
        (found["Properties"]["Name"], "EventBusName" in found["Properties"])
        for found in resources("common", "AWS::Events::Rule").values()
    }

    watched = [
        {dimension["Name"]: dimension["Value"] for dimension in dimensions}
        for _, _, dimensions in metrics_of(ALARMS["DeliveryFailsAlarm"])
    ]

    assert {(named["RuleName"], "EventBusName" in named) for named in watched} == rules


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_looks_at_no_more_metrics_than_cloudwatch_takes(name):
    """CloudWatch user guide, "Limits": ten."""
    assert len(metrics_of(ALARMS[name])) <= 10


def test_the_dashboard_is_what_cloudwatch_can_read():
    [dashboard] = resources("common", "AWS::CloudWatch::Dashboard").values()
    known = expanded("common")["Resources"] | {"AWS::Region": {}}
    body = text(dashboard["Properties"]["DashboardBody"])

    for name in re.findall(r"\$\{([\w:]+)", body):
        assert name in known
    widgets = json.loads(re.sub(r"\$\{([^}]+)\}", r"\1", body))["widgets"]
    taken = [
        (x, y) for w in widgets for x in range(w["x"], w["x"] + w["width"]) for y in range(w["y"], w["y"] + w["height"])
    ]
    assert len(taken) == len(set(taken))


def metrics_shown():
    """Title -> metrics of each chart in the dashboard."""
    [dashboard] = resources("common", "AWS::CloudWatch::Dashboard").values()
    body = re.sub(r"\$\{([^}]+)\}", r"\1", text(dashboard["Properties"]["DashboardBody"]))
    charts = [widget["properties"] for widget in json.loads(body)["widgets"] if widget["type"] == "metric"]
    return {chart["title"]: chart["metrics"] for chart in charts}


def test_a_search_quotes_what_is_more_than_letters_and_digits():
    """CloudWatch user guide, "Search expression syntax": a namespace with a hyphen is in double quotes."""
    searched = [
        one[0]["expression"] for metrics in metrics_shown().values() for one in metrics if isinstance(one[0], dict)
    ]

    schemas = [re.findall(r"SEARCH\('\{([^}]+)\}", expression) for expression in searched]

    assert len(schemas) == 3
    for [schema] in schemas:
        assert all(re.fullmatch(r'"[^"]+"|\w+', part) for part in schema.split(","))


@pytest.mark.parametrize("title", ["Function errors", "Longest function durations"])
def test_a_chart_of_functions_has_all_of_them(title):
    shown = [metric[-1] for metric in metrics_shown()[title]]

    functions = resources("common", "AWS::Lambda::Function")
    assert sorted(shown) == sorted(name for name, found in functions.items() if found["Properties"].get("FunctionName"))
