"""Where AWS's console shows what an export is made of. In the commercial partition; AWS documents none of this."""

from urllib.parse import quote, urlsplit

from table_exports.domain.export import Export
from table_exports.domain.story import Chapter

LOG_GROUP = "/table-exports/functions"
SHOWN = "@timestamp, service, stage, message, became, reason"


def of_chapter(chapter: Chapter, export: Export, region: str) -> list[tuple[str, str]]:
    """What a wait was for: text and address of each page."""
    match chapter.kind:
        case "glue-job-run":
            return [
                ("job run", job_run(export.glue_job_name, chapter.awaited_id, region)),
                ("its log", log_stream("/aws-glue/jobs/error", chapter.awaited_id, region)),
            ]
        case "glue-crawler":
            return [
                (
                    "crawler",
                    _page(
                        region,
                        f"/glue/home?region={_q(region)}#/v2/data-catalog/crawlers/view/{_q(chapter.awaited_id)}",
                    ),
                ),
                ("its log", log_stream("/aws-glue/crawlers", chapter.awaited_id, region)),
            ]
        case "athena-query":
            return [
                (
                    "query",
                    _page(region, f"/athena/home?region={_q(region)}#/query-editor/history/{_q(chapter.awaited_id)}"),
                )
            ]
        case "table-export":
            return [
                (
                    "table export",
                    _page(region, f"/dynamodbv2/home?region={_q(region)}#exportDetail?arn={_q(chapter.awaited_id)}"),
                )
            ]
    return []


def of_export(export: Export, region: str) -> list[tuple[str, str]]:
    return [
        ("log of the functions", story_in_the_log(export, region)),
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


def story_in_the_log(export: Export, region: str) -> str:
    """Logs Insights, with the query that tells the export's story."""
    query = f'filter export_id = "{export.export_id}" | sort @timestamp | display {SHOWN}'
    week = "end~0~start~-604800~timeType~'RELATIVE~unit~'seconds"
    detail = f"~({week}~editorString~'{_starred(query)}~source~(~'{_starred(LOG_GROUP)}))"
    return _page(region, f"/cloudwatch/home?region={_q(region)}#logsV2:logs-insights$3FqueryDetail$3D{detail}")


def _page(region: str, path: str) -> str:
    return f"https://{_q(region)}.console.aws.amazon.com{path}"


def _q(text: str) -> str:
    return quote(text, safe="")


def _twice(text: str) -> str:
    """As the console's log pages have it: encoded twice, with `$` for `%`."""
    return quote(quote(text, safe=""), safe="").replace("%", "$")


def _starred(text: str) -> str:
    """As the console writes text in a query's detail: `*` for `%`."""
    return quote(text, safe="").replace("%", "*")
