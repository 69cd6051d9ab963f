"""The dashboard's widget in a browser: the function itself, in its role."""

from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest


def page(user, posted=False, **parameters):
    address, query = f"{user.endpoint}/_sandbox/pipelines", urlencode(parameters)
    with urlopen(address, query.encode()) if posted else urlopen(f"{address}?{query}") as answer:
        return answer.read().decode()


def test_all_pipelines_are_seen_and_an_exports_timeline_is_a_click_away(user, orders):
    pipeline, export = orders

    overview = page(user)

    assert f"?view=pipeline&amp;pipeline={pipeline['Pipeline']}&amp;theme=light" in overview
    assert "3,000 rows" in page(user, view="pipeline", pipeline=pipeline["Pipeline"])
    timeline = page(user, view="timeline", export_id=export["export_id"], theme="dark")
    for step in export["steps"]:
        assert step["waiting_on"].startswith("export-request/") or step["waiting_on"].partition("/")[2] in timeline


def test_a_button_exports_the_table_and_no_link_does(user):
    user.make_table("Clicks", [{"id": "1"}], {"id": "S"})
    clicks = user.deploy_pipeline("Clicks")
    assert '<form method="post">' in page(user, view="pipeline", pipeline=clicks["Pipeline"])

    with pytest.raises(HTTPError, match="405"):
        page(user, view="run", pipeline=clicks["Pipeline"])
    answer = page(user, posted=True, view="run", pipeline=clicks["Pipeline"])

    assert "Export requested" in answer
    [export] = user.ended_exports(clicks, 1)
    assert export["stage"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "pipelines?page=abc", 400),
        ("GET", "calls?since=abc", 400),
        ("PUT", "pipelines", 405),
        ("DELETE", "pipelines", 405),
    ],
)
def test_what_makes_no_sense_is_refused(user, method, path, status):
    with pytest.raises(HTTPError, match=str(status)):
        urlopen(Request(f"{user.endpoint}/_sandbox/{path}", method=method))


def test_the_functions_role_puts_no_event_but_requests(user):
    events = user.client_of_role("events", user.function_role("pipeline_widget"))
    fact = {"EventBusName": "table-exports", "Source": "table-exports", "Detail": "{}"}

    with pytest.raises(events.exceptions.ClientError, match="AccessDenied"):
        events.put_events(Entries=[fact | {"DetailType": "Export Succeeded"}])
