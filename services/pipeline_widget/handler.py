"""A dashboard shows its custom widget, or someone clicked in it: answer with a page; a button asks for an export."""

import re
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from pipeline_widget import pages
from pipeline_widget.links import Actions
from pipeline_widget.look import Look, look_of
from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.aws.overviews import overview_of
from table_exports.domain.errors import InvalidRequest
from table_exports.domain.export import Export, Stage
from table_exports.domain.facts import Fact
from table_exports.domain.foreign import shown
from table_exports.domain.overview import overview
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.request import NAME, a_request_for, a_resumption_of, export_id
from table_exports.domain.story import story
from table_exports.telemetry import logger, metrics, tracer

DESCRIPTION = (
    "All pipelines of table-exports: where each stands, and which need a person. Takes no parameters. "
    "What can be clicked, it calls itself with: `view`, `pipeline`, `export_id`, `wanted`, `page`."
)
EXPORTS = 20  # that a pipeline's page lists


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
def handle(event: dict[str, Any], context: LambdaContext) -> Any:
    """Shape: CloudWatch user guide, "Details about custom widgets". Answers HTML, or Markdown of what it is."""
    asked_by = f"widget-{context.aws_request_id}"
    return widget(event, context.invoked_function_arn, asked_by, the_cloud(), datetime.now(UTC))


def widget(event: dict[str, Any], endpoint: str, asked_by: str, cloud: Cloud, now: datetime) -> str | dict[str, str]:
    """`endpoint` is the widget's own ARN, and `asked_by` the request's identity: another for each click."""
    if event.get("describe"):
        return {"markdown": DESCRIPTION}
    context = event.get("widgetContext")
    look = look_of(context.get("theme") if isinstance(context, dict) else None)
    actions = Actions(endpoint)
    try:
        return view(event, context, asked_by, cloud, now, actions, look)
    except InvalidRequest as error:
        return pages.problem_page(str(error), actions, look)


def view(
    event: dict[str, Any], context: Any, asked_by: str, cloud: Cloud, now: datetime, actions: Actions, look: Look
) -> str:
    """Raises InvalidRequest for what is not there, or cannot be."""
    match event.get("view", "overview"):
        case "overview":
            found = overview_of(cloud.records, now)
            return pages.overview_page(found, wanted(event, context), page_number(event), actions, look)
        case "pipeline":
            pipeline = the_pipeline(event, cloud)
            exports = cloud.records.exports(pipeline.pipeline, EXPORTS)
            in_flight = [export for export in exports if not export.ended]
            [row] = overview([pipeline], in_flight, now).rows
            return pages.pipeline_page(row, exports, now, actions, look)
        case "story":
            export = the_export(event, cloud)
            told = story(export, cloud.records.pipeline(export.pipeline), now)
            return pages.story_page(told, cloud.region, actions, look)
        case "run":
            pipeline = the_pipeline(event, cloud)
            detail = a_request_for(pipeline, asked_by)
            ask(detail, export_id({"detail": detail}), cloud)
            return pages.asked_page("An export was asked for", pipeline.pipeline, actions, look)
        case "resume":
            export = the_export(event, cloud)
            ask(a_resumption_of(export, asked_by), export.export_id, cloud)
            return pages.asked_page("The export was asked to go on", export.pipeline, actions, look)
        case unknown:
            raise InvalidRequest("view", f"is {shown(unknown)}: it must be overview, pipeline, story, run or resume")


def ask(detail: dict[str, Any], asked_for: str, cloud: Cloud) -> None:
    known = {"pipeline": detail["pipeline"], "export_id": asked_for, "stage": Stage.STARTING}
    logger.info("An export was asked for in the dashboard", extra=known)
    cloud.bus.publish([Fact("Export Requested", detail)])


def the_pipeline(event: dict[str, Any], cloud: Cloud) -> Pipeline:
    name = event.get("pipeline")
    pipeline = cloud.records.pipeline(name) if isinstance(name, str) and re.fullmatch(NAME, name) else None
    if pipeline is None:
        raise InvalidRequest("pipeline", f"is {shown(name)}: there is none of that name, or its stack was deleted")
    return pipeline


def the_export(event: dict[str, Any], cloud: Cloud) -> Export:
    export_id = event.get("export_id")
    known = isinstance(export_id, str) and re.fullmatch(NAME, export_id)
    export = cloud.records.find_export(export_id) if known else None
    if export is None:
        raise InvalidRequest("export_id", f"is {shown(export_id)}: there is no record of it, or it has expired")
    return export


def wanted(event: dict[str, Any], context: Any) -> str:
    """Part of a name: typed into the form, or of the page that is turned."""
    forms = context.get("forms") if isinstance(context, dict) else None
    typed = forms.get("all") if isinstance(forms, dict) else None
    given = event.get("wanted")
    if given is None and isinstance(typed, dict):
        given = typed.get("wanted")
    return given.strip()[: pages.LONGEST_FILTER] if isinstance(given, str) else ""


def page_number(event: dict[str, Any]) -> int:
    given = event.get("page", 0)
    return given if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < 10_000 else 0
