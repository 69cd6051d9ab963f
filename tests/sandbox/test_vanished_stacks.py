"""A stack that disappeared without its Delete event: doctor names it, and the remedy works."""

import pytest

from table_exports.aws.records import Records
from table_exports_cli import doctor
from table_exports_cli.deployed import Deployed

VANISHED = "arn:aws:cloudformation:us-east-1:123456789012:stack/vanished/5f0d1c9a-7be3-4f1c-2a6e-000000000000"


@pytest.mark.slow
def test_another_stack_takes_over_the_name_and_doctor_is_satisfied(user):
    user.make_table("Lost-Property", [{"id": "1"}], {"id": "S"})
    state = user.table("table-exports")
    state.put_item(
        Item={
            "pipeline": "catalog-name/lost_property",
            "record": "claim",
            "stack_id": VANISHED,
            "held_by": "lost_property-parquet",
        }
    )

    class System:
        client = staticmethod(user.client)
        records = Records(user.client("dynamodb"), "table-exports")

    def problems():
        return [problem for problem in doctor.stacks(Deployed(System())) if problem.subject == "lost_property-parquet"]

    [problem] = problems()
    assert problem.description == "its catalog name is taken by a table stack that is gone"
    assert "make deploy" in problem.remedy

    pipeline = user.deploy_pipeline("Lost-Property")

    assert pipeline["Pipeline"] == "lost_property-parquet"
    assert problems() == []
    user.export(pipeline)
