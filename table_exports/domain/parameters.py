"""The parameters that a table stack passes to register_pipeline, as one row per parameter.

infra/table.yaml declares the same parameters to CloudFormation, and docs/deploy.md describes them.
tests/contracts/test_parameters.py holds both to this table.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from table_exports.domain.errors import InvalidRequest

WHOLE, DECIMAL = r"\d+", r"\d+(\.\d+)?"
# Of one worker, by worker type: https://docs.aws.amazon.com/glue/latest/dg/worker-types.html. The DPUs of R types have
# twice the memory, and cost more.
DPUS = {"G.1X": 1, "G.2X": 2, "G.4X": 4, "G.8X": 8, "R.1X": 1, "R.2X": 2, "R.4X": 4, "R.8X": 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    name: str
    default: str | None = None  # None: the stack must have it. Otherwise also for a stack of an earlier version
    form: str | None = None  # CloudFormation accepts numbers that neither JSON nor a Glue argument may have, like `.5`
    expected: str = ""  # the form, in an error message

    def value(self, properties: Mapping[str, str]) -> str:
        """Return the parameter's value. Raises InvalidRequest if it is missing or malformed."""
        value = properties.get(self.name, self.default)
        if value is None:
            raise InvalidRequest(self.name, "is missing: deploy the table stack from this version's template")
        if self.form and not re.fullmatch(self.form, value):
            raise InvalidRequest(self.name, f"is {value}: write {self.expected}")
        return value


PARAMETERS = {
    parameter.name: parameter
    for parameter in (
        Parameter(name="TableName"),
        Parameter(name="OutputFormat", default="parquet"),
        Parameter(name="CatalogName", default=""),
        Parameter(name="CatalogUpdate", default="on-schema-change"),
        Parameter(name="KeepSnapshots", default="0", form=WHOLE, expected="a whole number of snapshots, 0 for all"),
        Parameter(name="ReadMode", default="auto"),
        Parameter(name="ReadPercentage", default="0.25", form=r"[01]|[01]\.\d+", expected="a number such as 0.25"),
        Parameter(name="ReadCapacityCap", default="0", form=DECIMAL, expected="a number such as 100 or 0.5"),
        Parameter(name="MaxReadCost", default="0", form=DECIMAL, expected="an amount in USD such as 5 or 0.5"),
        Parameter(name="WorkerType", default="G.1X"),
        Parameter(name="NumberOfWorkers", default="2", form=WHOLE, expected="a whole number of workers"),
        Parameter(name="TimeoutMinutes", default="480", form=WHOLE, expected="a whole number of minutes"),
        Parameter(name="MaxAttempts", default="2", form=r"[1-9]\d*", expected="a whole number of attempts, such as 2"),
        Parameter(name="ScheduleState", default="DISABLED"),
        Parameter(name="ScheduleExpression", default="cron(0 4 * * ? *)"),
        Parameter(name="ScheduleTimezone", default="UTC"),
        Parameter(name="StaleAfterHours", default="0", form=WHOLE, expected="a whole number of hours"),
    )
}


def default_of(name: str) -> str:
    default = PARAMETERS[name].default
    assert default is not None
    return default
