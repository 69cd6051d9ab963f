"""Queries that measure columns of a snapshot: which there are, and what their results mean."""

import json
from collections.abc import Sequence

from table_exports.domain.limits import QUERY_BYTES
from table_exports.domain.naming import PARTITION_KEY
from table_exports.domain.view_sql import identifier, literal
from table_exports_cli.proposals import Facts, Wanted

MOST_EXPRESSIONS = 300  # in a query
MOST_QUERIES = 5
CLOCK = r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d{1,9})?)?(Z|[+-]([01]\d|2[0-3]):?[0-5]\d)?"
DAY = r"[12]\d{3}-\d{2}-\d{2}"
DAYS, TIMES = literal(f"^{DAY}$"), literal(f"^{DAY}([T ]{CLOCK})?$")
PLAIN_NUMBER = literal(r"^-?\d+(\.\d+)?$")
FRACTION = literal(r"\.(\d*?)0*$")  # without zeros at its end
UNREADABLE_SCALE = 999  # of a number in scientific notation


def planned(wanted: Sequence[Wanted], text_only: bool) -> list[list[Wanted]]:
    """Return what each query measures. What does not fit into the most queries is left out."""
    queries: list[list[Wanted]] = []
    expressions = size = 0
    for each in wanted:
        needed = expressions_for(each, text_only)
        length = sum(len(expression.encode()) + 2 for expression in needed)
        if not queries or expressions + len(needed) > MOST_EXPRESSIONS or size + length > QUERY_BYTES // 2:
            queries.append([])
            expressions = size = 0
        queries[-1].append(each)
        expressions, size = expressions + len(needed), size + length
    return queries[:MOST_QUERIES]


def sql(wanted: Sequence[Wanted], text_only: bool, database: str, table: str, snapshot: str) -> str:
    expressions = [expression for each in wanted for expression in expressions_for(each, text_only)]
    source = f"{identifier(database)}.{identifier(table)} AS t"
    return f"SELECT {', '.join(expressions)} FROM {source} WHERE t.{identifier(PARTITION_KEY)} = {literal(snapshot)}"


def expressions_for(wanted: Wanted, text_only: bool) -> list[str]:
    """Return what to select. A text-only format has empty text for NULL."""
    column = f"t.{identifier(wanted.column)}"
    if text_only:
        column = f"NULLIF({column}, '')"
    if wanted.what == "time":
        number = f"TRY_CAST({column} AS bigint)" if wanted.type == "string" else column
        return [f"count({number})", f"min({number})", f"max({number})"]
    if wanted.what == "scale":
        text = f"CAST({column} AS varchar)"
        scale = f"coalesce(length(regexp_extract({text}, {FRACTION}, 1)), 0)"
        if wanted.type == "string":
            scale = f"IF(regexp_like({text}, {PLAIN_NUMBER}), {scale}, {UNREADABLE_SCALE})"
        keys = f"CAST(IF({column} IS NULL, NULL, {scale}) AS varchar)"  # as keys of JSON have to be
        return [f"json_format(CAST(histogram({keys}) AS JSON))"]
    if wanted.what == "fields":
        filled = " + ".join(f"count({column}.{identifier(name)})" for name in wanted.fields)
        return [f"count({column})", filled]
    day = f"TRY_CAST(substr({column}, 1, 10) AS date)"
    return [
        f"count({column})",
        f"count_if(regexp_like({column}, {TIMES}) AND {day} IS NOT NULL)",
        f"count_if(regexp_like({column}, {DAYS}) AND {day} IS NOT NULL)",
        f"min({day})",
        f"max({day})",
    ]


def facts(wanted: Sequence[Wanted], text_only: bool, row: Sequence[str | None]) -> dict[str, Facts]:
    """Return by attribute what a query for these measured, from the row of its result."""
    values = iter(row)
    return {
        each.attribute: _facts(each.what, [next(values) for _ in expressions_for(each, text_only)]) for each in wanted
    }


def _facts(what: str, found: Sequence[str | None]) -> Facts:
    if what == "scale":
        scales = {int(scale): number for scale, number in json.loads(found[0] or "{}").items()}
        return Facts(values=sum(scales.values()), scales=scales)
    if what == "fields":
        return Facts(values=_number(found[0]), filled=_number(found[1]))
    if what == "time":
        least, most = (None if text is None else int(text) for text in found[1:])
        return Facts(values=_number(found[0]), least=least, most=most)
    return Facts(
        values=_number(found[0]), times=_number(found[1]), days=_number(found[2]), least=found[3], most=found[4]
    )


def _number(text: str | None) -> int:
    return int(text or 0)
