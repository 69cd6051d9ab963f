"""A dashboard shows its custom widget, or someone clicked in it: return a page. A button requests an export."""

import re
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from pipeline_widget import pages
from pipeline_widget.links import Actions
from pipeline_widget.look import Look, look_of
from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.aws.overviews import overview_of
from table_exports.domain.errors import InvalidRecord, InvalidRequest
from table_exports.domain.export import Export
from table_exports.domain.foreign import preview
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.public_events import PublicEvent
from table_exports.domain.reports.overview import overview
from table_exports.domain.reports.timeline import timeline
from table_exports.domain.request import EXPORT_ID, NAME, request_detail, request_identity, resume_detail
from table_exports.domain.stages import Stage
from table_exports.functions.event_handling import valid
from table_exports.functions.telemetry import logger, metrics
from table_exports.functions.tracing import trace_handler

DESCRIPTION = (
    "All pipelines of table-exports: the state of each, and which need attention. Takes no parameters. "
    "Its own links call it with `view`, `pipeline`, `export_id`, `wanted` and `page`."
)
ACTIONS = ("run", "resume")  # views that request something
EXPORTS = 20  # on a pipeline's page


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@trace_handler
def handle(event: dict[str, Any], context: LambdaContext) -> Any:
    """Return HTML, or a description in Markdown. Shape: CloudWatch user guide, "Details about custom widgets"."""
    request_id = f"widget-{context.aws_request_id}"
    return widget(event, context.invoked_function_arn, request_id, the_cloud(), datetime.now(UTC))


def widget(event: dict[str, Any], endpoint: str, request_id: str, cloud: Cloud, now: datetime) -> str | dict[str, str]:
    """Return a page. `endpoint` is the ARN of the widget's function. `request_id` is unique to each click."""
    if event.get("describe"):
        return {"markdown": DESCRIPTION}
    context = event.get("widgetContext")
    look = look_of(context.get("theme") if isinstance(context, dict) else None)
    actions = Actions(endpoint)
    try:
        return view(event, context, request_id, cloud, now, actions, look)
    except InvalidRequest as error:
        return pages.problem_page(str(error), actions, look)
    except InvalidRecord as error:
        return pages.problem_page(f"{error}. Remedy: {error.remedy}", actions, look)


def view(
    event: dict[str, Any], context: Any, request_id: str, cloud: Cloud, now: datetime, actions: Actions, look: Look
) -> str:
    """Return the page of a view. Raises InvalidRequest if what it should show does not exist."""
    match event.get("view", "overview"):
        case "overview":
            found = overview_of(cloud.records, now)
            return pages.overview_page(found, wanted(event, context), page_number(event), actions, look)
        case "pipeline":
            pipeline = the_pipeline(event, cloud)
            exports = list(valid(cloud.records.exports(pipeline.pipeline, EXPORTS)))
            in_flight = [export for export in exports if not export.ended]
            [row] = overview([pipeline], in_flight, now).rows
            return pages.pipeline_page(row, exports, now, actions, look)
        case "timeline":
            export = the_export(event, cloud)
            shown = timeline(export, cloud.records.pipeline(export.pipeline), now)
            return pages.timeline_page(shown, cloud.region, actions, look)
        case "run":
            ensure_clicked(event, context)
            pipeline = the_pipeline(event, cloud)
            detail = request_detail(pipeline, request_id)
            request(detail, request_identity({"detail": detail}), cloud)
            return pages.requested_page("Export requested", pipeline.pipeline, actions, look)
        case "resume":
            ensure_clicked(event, context)
            export = the_export(event, cloud)
            request(resume_detail(export, request_id), export.export_id, cloud)
            return pages.requested_page("Resume requested", export.pipeline, actions, look)
        case unknown:
            raise InvalidRequest(
                "view", f"is {preview(unknown)}: it must be overview, pipeline, timeline, run or resume"
            )


def ensure_clicked(event: dict[str, Any], context: Any) -> None:
    """Raise InvalidRequest if the call may be a refresh of a dashboard whose widget has saved an action.

    CloudWatch calls the widget with its saved parameters, and repeats them in `widgetContext.params`. A click calls it
    with the parameters of the button instead, and the context is the same.
    """
    if not isinstance(context, dict):
        raise InvalidRequest("widgetContext", "is missing: use the buttons of a dashboard, or table-exports run")
    saved = context.get("params") or {}
    if not isinstance(saved, dict) or saved.get("view") in ACTIONS:
        raise InvalidRequest(
            "view", f"is {event['view']}: a dashboard must not save an action. Remove view from the widget's parameters"
        )


def request(detail: dict[str, Any], export_id: str, cloud: Cloud) -> None:
    known = {"pipeline": detail["pipeline"], "export_id": export_id, "stage": Stage.STARTING}
    logger.info("An export was requested in the dashboard", extra=known)
    cloud.bus.publish([PublicEvent("Export Requested", detail)])


def the_pipeline(event: dict[str, Any], cloud: Cloud) -> Pipeline:
    name = event.get("pipeline")
    pipeline = cloud.records.pipeline(name) if isinstance(name, str) and re.fullmatch(NAME, name) else None
    if pipeline is None:
        raise InvalidRequest(
            "pipeline", f"is {preview(name)}: no pipeline has this name, or its table stack was deleted"
        )
    return pipeline


def the_export(event: dict[str, Any], cloud: Cloud) -> Export:
    export_id = event.get("export_id")
    export = None
    if isinstance(export_id, str) and re.fullmatch(EXPORT_ID, export_id):
        export = cloud.records.find_export(export_id)
    if export is None:
        raise InvalidRequest(
            "export_id", f"is {preview(export_id)}: this export has no record, or its record has expired"
        )
    return export


def wanted(event: dict[str, Any], context: Any) -> str:
    """Return the part of a name to filter by, from the form or from a link to another page."""
    forms = context.get("forms") if isinstance(context, dict) else None
    typed = forms.get("all") if isinstance(forms, dict) else None
    given = event.get("wanted")
    if given is None and isinstance(typed, dict):
        given = typed.get("wanted")
    return given.strip()[: pages.LONGEST_FILTER] if isinstance(given, str) else ""


def page_number(event: dict[str, Any]) -> int:
    given = event.get("page", 0)
    return given if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < 10_000 else 0
