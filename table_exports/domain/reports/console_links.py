"""Links to the pages of AWS's console that show what an export consists of.

They are those of the commercial partition. AWS documents none of them.
"""

from urllib.parse import quote, urlsplit

from table_exports.domain.export import Export
from table_exports.domain.reports.timeline import Wait
from table_exports.domain.stages import Operation

LOG_GROUP = "/table-exports/functions"
LOG_FIELDS = "@timestamp, service, stage, message, became, reason"


def of_wait(wait: Wait, export: Export, region: str) -> list[tuple[str, str]]:
    """Return the text and address of each page about the operation of a wait."""
    awaited, home = _q(wait.awaited_id), f"home?region={_q(region)}"
    match wait.operation:
        case Operation.JOB_RUN:
            return [
                ("job run", job_run(export.glue_job_name, wait.awaited_id, region)),
                ("its log", log_stream("/aws-glue/jobs/error", wait.awaited_id, region)),
            ]
        case Operation.CRAWL:
            return [
                ("crawler", _page(region, f"/glue/{home}#/v2/data-catalog/crawlers/view/{awaited}")),
                ("its log", log_stream("/aws-glue/crawlers", wait.awaited_id, region)),
            ]
        case Operation.QUERY:
            return [("query", _page(region, f"/athena/{home}#/query-editor/history/{awaited}"))]
        case Operation.TABLE_EXPORT:
            return [("table export", _page(region, f"/dynamodbv2/{home}#exportDetail?arn={awaited}"))]
    return []


def of_export(export: Export, region: str) -> list[tuple[str, str]]:
    """Return the text and address of the pages about an export as a whole."""
    return [
        ("log of the functions", functions_log(export, region)),
        ("files in S3", folder(export.snapshot_location, region)),
    ]


def job_run(job: str, run: str, region: str) -> str:
    return _page(region, f"/gluestudio/home?region={_q(region)}#/job/{_q(job)}/run/{_q(run)}")


def log_stream(group: str, stream: str, region: str) -> str:
    place = f"log-group/{_twice(group)}/log-events/{_twice(stream)}"
    return _page(region, f"/cloudwatch/home?region={_q(region)}#logsV2:log-groups/{place}")


def folder(uri: str, region: str) -> str:
    place = urlsplit(uri)
    return f"https://s3.console.aws.amazon.com/s3/buckets/{_q(place.netloc)}?region={_q(region)}&prefix={_q(place.path.lstrip('/'))}"


def functions_log(export: Export, region: str) -> str:
    """Return the address of Logs Insights with a query for the export's log lines."""
    query = f'filter export_id = "{export.export_id}" | sort @timestamp | display {LOG_FIELDS}'
    week = "end~0~start~-604800~timeType~'RELATIVE~unit~'seconds"
    detail = f"~({week}~editorString~'{_starred(query)}~source~(~'{_starred(LOG_GROUP)}))"
    return _page(region, f"/cloudwatch/home?region={_q(region)}#logsV2:logs-insights$3FqueryDetail$3D{detail}")


def _page(region: str, path: str) -> str:
    return f"https://{_q(region)}.console.aws.amazon.com{path}"


def _q(text: str) -> str:
    return quote(text, safe="")


def _twice(text: str) -> str:
    """Encode as the console's log pages do: twice, with `$` for `%`."""
    return quote(quote(text, safe=""), safe="").replace("%", "$")


def _starred(text: str) -> str:
    """Encode as the console does in a query's detail: with `*` for `%`."""
    return quote(text, safe="").replace("%", "*")
