"""Hashed attributes: equal values have equal hashes, and nobody computes them without the key."""

import base64
import hashlib
import hmac
from copy import deepcopy

import boto3
import pytest
from contracts_of_columns import store_contract
from hypothesis import given
from hypothesis import strategies as st

import export_table
from table_export_job.columns import SnapshotTable, snapshot_columns
from table_export_job.contract import Contract
from table_export_job.errors import PermanentError
from table_export_job.hashing import Hasher
from table_export_job.types import TypeRules
from tests.glue.job_places import BUCKET
from tests.glue.made_items import ID_TABLE, seen_in
from tests.glue.test_contract_of_a_table import places_of, versioned  # noqa: F401

pytestmark = [  # boto3 leaves the closing of sockets to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

CANARY = "hashed-canary-51d0"  # of these tests alone: others leave theirs in the bucket
KEY = "k" * 32
HASHER = Hasher(KEY)


def expected(content):
    return hmac.new(KEY.encode(), content, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("value", "hashed"),
    [
        ({"S": "ana@example.com"}, {"S": expected(b"ana@example.com")}),
        ({"S": "ä"}, {"S": expected("ä".encode())}),
        ({"N": "1.0"}, {"S": expected(b"1")}),
        ({"N": "1E+2"}, {"S": expected(b"100")}),
        ({"N": "-0.50"}, {"S": expected(b"-0.5")}),
        ({"N": "0E-5"}, {"S": expected(b"0")}),
        ({"B": base64.b64encode(b"\0raw").decode()}, {"S": expected(b"\0raw")}),
        ({"BOOL": True}, {"S": expected(b"true")}),
        ({"NULL": True}, {"NULL": True}),
        ({"SS": ["b", "a"]}, {"SS": sorted([expected(b"a"), expected(b"b")])}),
        ({"NS": ["1.0", "2"]}, {"SS": sorted([expected(b"1"), expected(b"2")])}),
        ({"L": [{"S": "a"}, {"L": [{"N": "1"}]}]}, {"L": [{"S": expected(b"a")}, {"L": [{"S": expected(b"1")}]}]}),
    ],
)
def test_a_value_becomes_its_keyed_hash(value, hashed):
    assert HASHER.hash(value) == hashed


@given(st.decimals(allow_nan=False, allow_infinity=False, places=5), st.integers(-20, 20))
def test_a_number_has_one_hash_whatever_its_notation(number, exponent):
    shifted = number.scaleb(exponent)

    assert HASHER.hash({"N": f"{shifted:e}"}) == HASHER.hash({"N": f"{shifted:f}"})


INNER = {"M": {CANARY: {"S": CANARY}}}


@pytest.mark.parametrize(
    ("path", "item"),
    [
        ("a", {"a": INNER}),
        ("a.b", {"a": {"M": {"b": INNER}}}),
        ("a.b", {"a.b": INNER}),
        ("a.b", {"a": {"L": [{"M": {"b": {"L": [INNER]}}}]}}),
        ("a.*", {"a": {"M": {CANARY: INNER}}}),
        ("a.*.b", {"a": {"M": {CANARY: {"M": {"b": INNER}}}}}),
        ("a.*.*", {"a": {"M": {CANARY: {"M": {CANARY: INNER}}}}}),
        ("*.b.c", {CANARY: {"M": {"b.c": INNER}}}),
        ("*", {CANARY: INNER}),
    ],
)
def test_a_map_is_an_error_that_names_the_rule_and_nothing_of_the_item(path, item):
    contract = Contract({path: {"hash": "sha256"}}, hasher=HASHER)

    with pytest.raises(PermanentError) as failed:
        contract.apply([item])
    assert str(failed.value) == (
        "Permanent error: "
        f"Columns: {path} cannot be hashed, as an item has a map there. Omit it, or hash attributes in the map, such "
        f"as {path}.x."
    )
    assert failed.value.__suppress_context__


def test_a_short_key_is_refused():
    with pytest.raises(PermanentError, match="has fewer than 32 characters"):
        Hasher("short")


@pytest.mark.parametrize("path", ["a", "a.b"])
def test_hashes_have_a_column_of_their_own(path):
    """Old snapshots have the values in clear text, so queries of all snapshots must not mix them."""
    items = [{"id": {"S": "1"}, "a": {"S": "x"} if path == "a" else {"M": {"b": {"S": "x"}}}}]
    contract, table = Contract({path: {"hash": "sha256"}}, hasher=HASHER), SnapshotTable([], {})

    def columns(rules):
        nonlocal table
        found, attributes = snapshot_columns(seen_in(items), ID_TABLE, table, TypeRules(), rules)
        table = SnapshotTable(found, attributes, rules.hashed_paths)
        return [column.name for column in found]

    assert columns(Contract({})) == ["id", "a"]
    assert columns(contract) == ["id", "a", "a_2"]
    assert columns(contract) == ["id", "a", "a_2"]
    assert columns(Contract({})) == ["id", "a", "a_2", "a_3"]


@pytest.mark.parametrize(
    ("path", "rules", "renewed"),
    [
        ("*.b", {}, ["maps", "list"]),
        ("*.*.b", {}, ["maps", "list"]),
        ("a.b", {}, ["a.b"]),
        ("maps.b", {}, ["maps"]),
        ("a.b", {"a": {"as": "bigint"}}, ["a.b"]),
        ("maps.b", {"maps": {"as": "json"}}, ["maps"]),
        ("maps.b", {"maps": {"as": "bigint"}}, ["maps (not converted)"]),
        ("maps.c", {"a": {"as": "json"}}, ["maps"]),
        ("none.b", {}, []),
    ],
)
def test_only_what_can_have_other_hashes_has_another_column(path, rules, renewed):
    inner = {"M": {"b": {"S": "x"}}}
    item = {"id": {"S": "1"}, "a": {"N": "1"}, "a.b": {"S": "x"}, "maps": inner, "list": {"L": [inner]}}
    table = SnapshotTable([], {})

    for contract in (Contract(rules), Contract(rules | {path: {"hash": "sha256"}}, hasher=HASHER)):
        before, items = table.columns, deepcopy([item])
        contract.apply(items)
        found, attributes = snapshot_columns(seen_in(items), ID_TABLE, table, TypeRules(), contract)
        table = SnapshotTable(found, attributes, contract.hashed_paths)

    assert {column.attribute for column in table.columns[len(before) :]} == {*renewed}


@pytest.fixture
def secret(environment):
    created = boto3.client("secretsmanager").create_secret(Name="hashes", SecretString=KEY)
    yield created["ARN"]
    boto3.client("secretsmanager").delete_secret(SecretId=created["ARN"], ForceDeleteWithoutRecovery=True)


@pytest.mark.parametrize("read_mode", ["scan", "export"])
def test_clear_text_is_nowhere_in_s3(
    versioned,  # noqa: F811
    make_table,
    arguments,
    snapshot,
    manifest,
    secret,
    export_by_dynamodb,
    capsys,
    read_mode,
):
    table = f"Hashed-{read_mode}"
    items = [{"id": {"S": CANARY}, "emails": {"L": [{"M": {"to": {"S": CANARY}}}]}}]
    make_table(table, items)
    summary = export_by_dynamodb(items, table.lower(), table=table) if read_mode == "export" else "-"
    uri = store_contract(boto3.client("s3"), BUCKET, {"id": {"hash": "sha256"}, "emails.to": {"hash": "sha256"}})

    export_table.main(
        arguments(
            table, columns=uri, hash_secret=secret, output_format="json", read_mode=read_mode, table_export=summary
        )
    )

    hashed = expected(CANARY.encode())
    assert snapshot(table) == [{"id": hashed, "emails": [{"to": hashed}]}]
    assert manifest(table)["hashed"] == ["emails.to", "id"]
    assert places_of(CANARY) == set()
    assert places_of(KEY) == set()
    assert KEY not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("arn", "message"),
    [
        ("-", "the stack has no HashSecretArn. Set it"),
        ("arn:aws:secretsmanager:us-east-1:123456789012:secret:none-abcdef", "Check HashSecretArn"),
    ],
)
def test_without_its_key_the_export_fails_before_the_table_is_read(make_table, arguments, environment, arn, message):
    make_table("Keyless", [{"id": {"S": "1"}}])
    uri = store_contract(boto3.client("s3"), BUCKET, {"id": {"hash": "sha256"}})

    with pytest.raises(PermanentError, match=message):
        export_table.main(arguments("Keyless", columns=uri, hash_secret=arn))
