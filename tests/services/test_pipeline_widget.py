import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser

import pytest
from examples import NOW, a_pipeline, an_event_of_ours, ends
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_widget import handler, pages
from pipeline_widget.handler import widget
from pipeline_widget.links import Actions
from pipeline_widget.look import DARK, LIGHT
from table_exports.domain.export import EntityItems
from table_exports.domain.reports.overview import overview
from table_exports.domain.reports.timeline import timeline
from table_exports.domain.request import ExportRequest
from table_exports.domain.stages import Stage

ENDPOINT = "arn:aws:lambda:us-east-1:123456789012:function:table-exports-pipeline_widget"
ACTIONS = Actions(ENDPOINT)
EXPORT_ID = "5f0d1c9a7be34f1c2a6e"
HOSTILE = st.text(min_size=1, max_size=300) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        "\"'><img src=x onerror=y>",
        "&lt;b&gt;",
        "\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe",
        "x" * 300,
        "\x00\x1b[31m",
        "{{}}%s",
    ]
)


class Reader(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.actions = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, tuple(sorted(name for name, _ in attributes))))
        if tag == "cwdb-action":
            self.actions.append(dict(attributes))

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def ask(cloud):
    """The page that a call of the widget with these parameters answers."""
    dashboard = {"widgetContext": {"theme": "light", "params": {}}}
    return lambda **parameters: widget(dashboard | parameters, ENDPOINT, "widget-1", cloud, NOW)


@pytest.fixture
def failed(cloud):
    begun = cloud.registered.begin(EXPORT_ID, None, NOW - timedelta(minutes=3))
    begun = replace(begun, read_percentage=cloud.registered.read_percentage)
    assert cloud.records.begin(begun)
    exporting = begun.run_job("jr_1", NOW - timedelta(minutes=2))
    assert cloud.records.move(begun, exporting)
    failed = exporting.fail("out of memory", NOW - timedelta(minutes=1))
    assert cloud.records.move(exporting, failed)
    return failed


def text_of(html):
    return " ".join("".join(Reader(html).text).split())


def test_an_empty_system_says_how_to_begin():
    assert "No pipelines yet" in pages.overview_page(overview([], [], NOW), "", 0, ACTIONS, LIGHT)


def test_each_pipeline_has_a_row_that_says_where_it_stands(ask, failed):
    page = ask()

    assert "1 pipeline" in text_of(page)
    assert "reviews-parquet" in text_of(page)
    assert "out of memory" in text_of(page)
    assert "the last export failed while exporting" in page


def test_the_track_shows_where_it_broke_also_in_a_stage_that_not_all_exports_have():
    broke = replace(ends(9, last=Stage.FAILED)[0], failed_stage=Stage.STAGING)

    page = pages.overview_page(overview([a_pipeline(recent=(broke,))], [], NOW), "", 0, ACTIONS, LIGHT)

    assert "the last export failed while staging" in page


def test_what_cannot_be_read_is_named_and_hides_no_other(cloud, ask, failed):
    odd = {"pipeline": "odd-csv", "record": "pipeline", "stack_id": "s", "timeout_minutes": "many"}
    item = {name: {"S": value} for name, value in odd.items()}
    cloud.records._client.put_item(TableName=cloud.records._table, Item=item)

    page = text_of(ask())

    assert "The record pipeline of odd-csv is invalid: timeout_minutes is" in page
    assert "Remedy: delete its table stack, then run make deploy" in page
    assert "reviews-parquet" in page


def test_what_was_asked_for_is_found_in_the_log_by_its_export(cloud, ask, failed, caplog):
    ask(view="run", pipeline="reviews-parquet")

    [line] = [line for line in caplog.records if "requested in the dashboard" in line.message]
    request = ExportRequest.from_event(an_event_of_ours(cloud.bus.events[0].detail))
    assert (line.pipeline, line.export_id, line.stage) == ("reviews-parquet", request.export_id, "STARTING")


def test_a_pipeline_lists_its_exports_and_an_export_tells_its_story(ask, failed):
    assert failed.snapshot_timestamp in ask(view="pipeline", pipeline="reviews-parquet")

    told = ask(view="timeline", export_id=EXPORT_ID)

    assert "out of memory" in told
    assert "/job/table-exports-reviews-parquet/run/jr_1" in told
    assert [json.loads(found) for found in actions_of(told, confirmed=True)] == [
        {"view": "resume", "export_id": EXPORT_ID},
        {"view": "run", "pipeline": "reviews-parquet"},
    ]


def test_a_pipeline_with_entities_has_the_rows_of_each_in_its_last_snapshot():
    pipeline = a_pipeline(entities=("reviews_order", "reviews_user"), published_snapshot="2026-11-23T02-00-07Z")
    running = pipeline.begin("e1", None, NOW).run_job("jr_1", NOW)
    entities = [EntityItems("reviews_order", 12345, "order"), EntityItems("reviews_user", 0, "user")]
    older = running.wrote(items=9, files=1, size=9, warning=None, entities=[EntityItems("reviews_order", 9)])
    latest = running.wrote(items=12345, files=1, size=9, warning=None, entities=entities)
    exports = [running, *(each.advance(Stage.PUBLISHING, "q", NOW).succeed(NOW) for each in (latest, older))]

    page = pages.pipeline_page(overview([pipeline], [], NOW).rows[0], exports, NOW, ACTIONS, LIGHT)
    plain = pages.pipeline_page(overview([a_pipeline()], [], NOW).rows[0], [running], NOW, ACTIONS, LIGHT)

    shown = text_of(page)
    assert re.search(r"Entity\s*Rows\s*reviews_order\s*12,345\s*reviews_user\s*0", shown)
    assert "<dt>view</dt>" not in page
    assert "<dt>view</dt>" in plain
    assert "Entity" not in text_of(plain)


def actions_of(html, confirmed):
    """The parameters of those that ask first, or do not."""
    found = re.findall(r"<cwdb-action ([^>]*)>(.*?)</cwdb-action>", html)
    return [unescape(content) for attributes, content in found if ("confirmation=" in attributes) == confirmed]


@pytest.mark.parametrize(
    ("parameters", "resumes"),
    [({"view": "run", "pipeline": "reviews-parquet"}, False), ({"view": "resume", "export_id": EXPORT_ID}, True)],
)
def test_a_button_asks_as_a_schedule_does(cloud, ask, failed, parameters, resumes):
    ask(**parameters)

    [asked] = cloud.bus.events
    request = ExportRequest.from_event(an_event_of_ours(asked.detail))
    assert (asked.detail_type, request.resumes, request.pipeline) == ("Export Requested", resumes, "reviews-parquet")
    assert asked.detail["request_id"] == "widget-1"


@pytest.mark.parametrize(
    "parameters",
    [
        {"view": "delete"},
        {"view": ["overview"]},
        {"view": "pipeline"},
        {"view": "pipeline", "pipeline": "none-such"},
        {"view": "pipeline", "pipeline": {"S": "x"}},
        {"view": "run", "pipeline": "catalog-name/reviews"},
        {"view": "timeline", "export_id": "<script>"},
        {"view": "resume", "export_id": 7},
    ],
)
def test_what_cannot_be_asked_for_is_answered_with_a_page_that_says_so(cloud, ask, failed, parameters):
    page = ask(**parameters)

    assert 'class="te-card te-bad"' in page
    assert cloud.bus.events == []


RUN = {"view": "run", "pipeline": "reviews-parquet"}
RESUME = {"view": "resume", "export_id": EXPORT_ID}


@pytest.mark.parametrize("action", [RUN, RESUME])
@pytest.mark.parametrize(
    "context",
    [
        {"params": "action"},  # a refresh: the parameters that the dashboard has saved
        {"params": {"view": "run"}},
        {"params": {"view": "resume", "pipeline": "another"}},
        {"params": [{"view": "run"}]},
        None,
    ],
)
def test_a_dashboard_with_a_saved_action_does_nothing_when_it_is_opened(cloud, ask, failed, action, context):
    if context == {"params": "action"}:
        context = {"params": action}

    page = ask(**action, widgetContext=context)

    assert 'class="te-card te-bad"' in page
    assert cloud.bus.events == []


@pytest.mark.parametrize("saved", [{}, {"view": "pipeline", "pipeline": "reviews-parquet"}, None])
def test_a_click_works_in_a_dashboard_that_has_saved_a_page(cloud, ask, failed, saved):
    ask(**RUN, widgetContext={"theme": "dark", "params": saved})

    assert [asked.detail["pipeline"] for asked in cloud.bus.events] == ["reviews-parquet"]


def test_the_buttons_ask_for_the_actions_that_a_dashboard_must_not_save(ask, failed):
    page = ask(view="timeline", export_id=EXPORT_ID)

    assert {json.loads(found)["view"] for found in actions_of(page, confirmed=True)} == set(handler.ACTIONS)


def test_nothing_is_asked_for_by_looking(cloud, ask, failed):
    ask()
    ask(view="pipeline", pipeline="reviews-parquet")
    ask(view="timeline", export_id=EXPORT_ID)

    assert cloud.bus.events == []


def test_it_says_what_it_is_to_whoever_adds_it_to_a_dashboard(ask):
    assert "All pipelines" in ask(describe=True)["markdown"]


@pytest.mark.parametrize(("theme", "look"), [("light", LIGHT), ("dark", DARK), (None, LIGHT), (7, LIGHT)])
def test_it_is_readable_in_light_and_dark(ask, theme, look):
    assert look.text in ask(widgetContext={"theme": theme})


@settings(max_examples=60, deadline=None)
@given(HOSTILE, HOSTILE, st.sampled_from([Stage.SUCCEEDED, Stage.FAILED]))
def test_whatever_a_name_or_reason_is_it_is_shown_as_text(name, reason, last):
    end = replace(ends(5, last=last)[0], reason=reason, failed_stage=Stage.EXPORTING)
    pipeline, plain = (
        a_pipeline(pipeline=text, table_name=text, catalog_name=text, output_prefix=text, recent=(end,))
        for text in (name, "plain")
    )
    export = replace(a_pipeline(pipeline=name).begin(name, None, NOW), glue_job_name=name, read_plan=reason)
    failed = replace(export.run_job(name, NOW).fail(reason, NOW), blocked_reason=reason, warning=reason)
    texts = ("pipeline", "export_id", "glue_job_name", "reason", "read_plan", "blocked_reason", "warning")
    normal = replace(failed, **dict.fromkeys(texts, "plain"))

    for html, expected in [
        (
            pages.overview_page(overview([pipeline], [], NOW), "", 0, ACTIONS, LIGHT),
            pages.overview_page(overview([plain], [], NOW), "", 0, ACTIONS, LIGHT),
        ),
        (
            pages.pipeline_page(overview([pipeline], [], NOW).rows[0], [failed], NOW, ACTIONS, LIGHT),
            pages.pipeline_page(overview([plain], [], NOW).rows[0], [normal], NOW, ACTIONS, LIGHT),
        ),
        (
            pages.timeline_page(timeline(failed, a_pipeline(), NOW), "us-east-1", ACTIONS, LIGHT),
            pages.timeline_page(timeline(normal, a_pipeline(), NOW), "us-east-1", ACTIONS, LIGHT),
        ),
        (pages.problem_page(reason, ACTIONS, DARK), pages.problem_page("plain", ACTIONS, DARK)),
    ]:
        assert Reader(html).tags == Reader(expected).tags
        assert "<script" not in html


def test_the_pictures_are_well_formed():
    row = overview([a_pipeline(recent=ends(9, 5, 7, 8, last=Stage.FAILED))], [a_pipeline().begin("e1", None, NOW)], NOW)
    page = pages.overview_page(row, "", 0, ACTIONS, LIGHT)

    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)

    assert len(pictures) == 3
    for picture in pictures:
        ElementTree.fromstring(picture)


def many(count):
    worst = replace(ends(5, last=Stage.FAILED)[0], reason="x" * 300, failed_stage=Stage.EXPORTING)
    recent = (*ends(*range(1, 15)), worst)
    return [a_pipeline(pipeline=f"table_{n:03}-parquet", table_name="T" * 255, recent=recent) for n in range(count)]


def test_five_hundred_pipelines_fit_a_page_and_the_rest_is_a_click_away():
    found = overview(many(500), [], NOW)

    first = pages.overview_page(found, "", 0, ACTIONS, LIGHT)
    last = pages.overview_page(found, "", 9, ACTIONS, LIGHT)

    assert len(first.encode()) < 500_000  # Lambda's answers may have six million bytes
    assert "500 pipelines" in text_of(first)
    assert "1 to 50 of 500" in text_of(first)
    assert "451 to 500 of 500" in text_of(last)
    assert '{"view": "overview", "wanted": "", "page": 1}' in actions_of(first, confirmed=False)
    assert last == pages.overview_page(found, "", 9_999, ACTIONS, LIGHT)


def test_a_pipeline_is_found_by_part_of_its_name(cloud):
    typed = {"widgetContext": {"forms": {"all": {"wanted": " REVIEW "}}}}

    assert "reviews-parquet" in widget(typed, ENDPOINT, "r", cloud, NOW)
    assert "No such pipeline" in widget({"wanted": "orders"}, ENDPOINT, "r", cloud, NOW)
