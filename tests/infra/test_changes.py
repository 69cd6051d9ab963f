"""Which changes destroy data, and how they are shown and confirmed."""

import io

import pytest
from rich.console import Console

from infra.deploy import CannotDeploy
from infra.deploy.changes import parse_change
from infra.deploy.screen import Screen
from infra.deploy.stacks import Event, Outcome, Plan, Stack

TABLE, QUEUE, BUCKET = "AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::S3::Bucket"


def change(action, kind, replacement=None, policy=None, logical="It", physical="its-name"):
    found = {"Action": action, "ResourceType": kind, "LogicalResourceId": logical, "PhysicalResourceId": physical}
    found |= {"Replacement": replacement} if replacement else {}
    return parse_change(found | ({"PolicyAction": policy} if policy else {}))


@pytest.mark.parametrize(
    ("action", "kind", "replacement", "policy", "destroys"),
    [
        ("Remove", TABLE, None, "Delete", True),
        ("Remove", TABLE, None, None, True),  # without a policy, CloudFormation deletes
        ("Remove", TABLE, None, "Retain", False),
        ("Remove", QUEUE, None, "Delete", True),
        ("Remove", "AWS::Logs::LogGroup", None, "Delete", True),
        ("Remove", "AWS::Events::Archive", None, "Delete", True),
        ("Remove", "AWS::Glue::Database", None, "Delete", True),
        ("Remove", "AWS::Glue::Table", None, "Delete", True),
        ("Remove", "AWS::Lambda::Function", None, "Delete", False),
        ("Remove", "AWS::SNS::Subscription", None, "Delete", False),
        ("Modify", BUCKET, "True", "ReplaceAndDelete", True),
        ("Modify", BUCKET, "Conditional", None, True),
        ("Modify", BUCKET, "True", "ReplaceAndRetain", False),
        ("Modify", BUCKET, "False", None, False),
        ("Add", BUCKET, None, None, False),
        ("Import", BUCKET, None, None, False),
    ],
)
def test_a_change_that_destroys_data_is_recognized(action, kind, replacement, policy, destroys):
    assert change(action, kind, replacement, policy).destroys_data == destroys


def test_changes_of_several_stacks_are_equal_unless_something_is_lost():
    assert change("Modify", "AWS::Glue::Job", "False", physical="a") == change(
        "Modify", "AWS::Glue::Job", "False", physical="b"
    )
    assert change("Remove", "AWS::Glue::Job", physical="a") != change("Remove", "AWS::Glue::Job", physical="b")


@pytest.fixture
def person(monkeypatch):
    """Types the answers. Returns the screen and what it showed."""

    def answering(*answers, terminal=True, **options):
        left = list(answers)
        monkeypatch.setattr("builtins.input", lambda _="": left.pop(0) if left else "")
        seen = io.StringIO()
        console = Console(file=seen, force_terminal=terminal, width=200, color_system=None)
        return Screen(console, **options), seen

    return answering


def test_deletions_are_shown_with_the_names_and_types_that_their_owner_knows(person):
    screen, seen = person()
    lost = (
        change("Remove", TABLE, physical="customer-orders", logical="Orders"),
        change("Remove", "AWS::Lambda::Function", physical="customer-totals", logical="Totals"),
        change("Modify", BUCKET, "True", "ReplaceAndRetain", physical="customer-files", logical="Files"),
    )

    screen.changes(
        [Plan(stack=Stack(name="x", template_url="", parameters={}), creates=False, change_set="c", changes=lost)]
    )

    assert "Warning: AWS::DynamoDB::Table customer-orders is deleted. It holds the items of a table" in seen.getvalue()
    assert "AWS::Lambda::Function customer-totals is deleted" in seen.getvalue()
    assert (
        "AWS::S3::Bucket customer-files is replaced by an empty resource. The old one is kept. It holds the objects"
        in seen.getvalue()
    )


def test_a_person_types_the_name_of_the_stack_to_delete_data(person):
    assert person("orders")[0].confirm_data_loss("orders", ["AWS::SQS::Queue jobs"])
    for answer in ("y", "yes", "", "reviews"):
        assert not person(answer)[0].confirm_data_loss("orders", ["AWS::SQS::Queue jobs"])


@pytest.mark.parametrize(("terminal", "yes"), [(True, True), (False, True), (False, False)])
def test_without_a_person_only_an_option_that_names_the_stack_deletes_data(person, terminal, yes):
    for other in ((), ("reviews",)):
        with pytest.raises(CannotDeploy) as error:
            person(terminal=terminal, yes=yes, delete_data_of=other)[0].confirm_data_loss(
                "orders", ["AWS::SQS::Queue q"]
            )
        assert "Stack orders would lose the data of AWS::SQS::Queue q" in str(error.value)
        assert "--delete-data-of orders (make deploy DELETE_DATA_OF=orders)" in str(error.value)

    assert person(terminal=terminal, yes=yes, delete_data_of=("orders",))[0].confirm_data_loss("orders", ["x"])


ACTING = "\x1b[2J\x07\x9b31m\N{RIGHT-TO-LEFT OVERRIDE}\r[bold]"


def test_nothing_that_others_wrote_acts_on_the_terminal(person):
    screen, seen = person("y", "an answer")
    lost = (change("Remove", TABLE, physical=f"orders{ACTING}", logical="Orders"),)

    screen.event(
        Event(
            resource=f"Job{ACTING}",
            type="AWS::Glue::Job",
            status="CREATE_FAILED",
            reason=f"why{ACTING}",
            is_of_the_stack=False,
        )
    )
    screen.summary([Outcome(stack="stack", result="failed", reason=f"why{ACTING}")])
    screen.changes(
        [Plan(stack=Stack(name="x", template_url="", parameters={}), creates=False, change_set="c", changes=lost)]
    )
    screen.confirm(f"Sure{ACTING}?")
    screen.ask(f"Which{ACTING}?", "", lambda answer: None)

    assert not {"\x1b", "\x07", "\x9b", "\r", "\N{RIGHT-TO-LEFT OVERRIDE}"} & set(seen.getvalue())
    assert seen.getvalue().count("[bold]") >= 6
