"""Which rules a snapshot suggests: decided from what the manifest and the queries say, without AWS."""

import pytest
import yaml
from templates import INFRA

from infra.deploy import tables_file
from infra.deploy.parameters import parameters
from table_export_job import contract as job_contract
from table_exports_cli.attribute_names import looks_like_time, looks_personal
from table_exports_cli.proposals import MOST_RULES, Facts, Observed, proposals, wanted
from table_exports_cli.proposed_yaml import as_data, block, scalar

N = {"kinds": ["N"], "digits": 13}
S = {"kinds": ["NULL", "S"]}
SECONDS, MILLIS = (1_551_398_400, 1_795_564_800), (1_551_398_400_000, 1_795_564_800_000)  # 2019-03-01 to 2026-11-25
BIGINT, STRING = ("c", "bigint"), ("c", "string")
TIMESTAMP_MS, TIMESTAMP_S = {"as": "timestamp", "from": "epoch_ms"}, {"as": "timestamp", "from": "epoch_s"}
HASH_OR_OMIT, OMIT = ({"hash": "sha256"}, {"omit": True}), ({"omit": True},)
UUIDS = [f"5f0d1c9a-7be3-4f1c-2a6e-00000000000{n}" for n in range(3)]
WORDS = [f"{first}_{second}" for first in ("red", "blue", "green", "black", "white") for second in "abcd"]


def observed(attributes, **changes):
    types = {"N": "bigint", "S": "string", "M": "struct<a:string>", "L": "array<struct<a:string>>"}
    columns = {
        name: (f"c{place}", types.get(next(iter({*seen["kinds"]} - {"NULL"}), "S"), "string"))
        for place, (name, seen) in enumerate(attributes.items())
    }
    return Observed(
        **{"output_format": "parquet", "attributes": attributes, "columns": columns, "fields": {}} | changes
    )


def times(values, number=1204):
    return Facts(values=number, least=values[0], most=values[1])


def texts(number, matching, days=0):
    return Facts(values=number, times=matching, days=days, least="2019-03-01", most="2026-11-25")


def scales(counts, digits=5):
    return {"kinds": ["N"], "digits": digits, "scale": max(counts)}, Facts(scales=counts)


def a_map(*keys, kind="S"):
    return {"kinds": ["M"], "fields": {key: {"kinds": [kind]} for key in keys}}


# name, what was observed, what was measured, and the rules by path. Those in a tuple are for a person to choose
ROWS = [
    ("created_at", N, times(MILLIS), {"created_at": TIMESTAMP_MS}),
    ("ttl", N, times(SECONDS), {"ttl": TIMESTAMP_S}),
    ("ttl", N, times((SECONDS[0], MILLIS[1])), {}),
    ("ttl", N, times((0, SECONDS[1])), {}),
    ("ttl", N, times((SECONDS[0], 4_102_444_801)), {}),
    ("ttl", N, Facts(), {}),
    ("released", S, texts(9, 9), {"released": {"as": "timestamp", "from": "iso8601"}}),
    ("released", S, texts(9, 9, 9), {"released": {"as": "date", "from": "iso8601"}}),
    ("released", S, texts(9, 9, 8), {"released": {"as": "timestamp", "from": "iso8601"}}),
    ("released", S, texts(9, 8, 8), {}),
    ("released", S, texts(0, 0), {}),
    ("price", *scales({0: 50, 2: 9_000, 17: 1}), {"price": {"as": "decimal(18,2)"}}),
    ("price", *scales({2: 9_000, 17: 5}), {"price": {"as": "decimal(18,2)"}}),
    ("price", *scales({2: 9_000, 17: 6}), {}),
    ("price", *scales({2: 9_000}), {}),
    ("price", *scales({2: 10, 17: 1}), {}),
    ("price", *scales({0: 9_000, 17: 1}), {"price": {"as": "bigint"}}),
    ("price", *scales({0: 9_000, 17: 1}, digits=21), {"price": {"as": "decimal(38,0)"}}),
    ("price", *scales({2: 9_000, 17: 1}, digits=20), {"price": {"as": "decimal(38,2)"}}),
    ("price", *scales({2: 9_000, 30: 1}, digits=37), {}),
    ("by_user", a_map(*UUIDS), None, {"by_user": {"map": True}}),
    ("by_day", a_map("2026-11-01", "2026-11-02", "2026-11-03"), None, {"by_day": {"map": True}}),
    ("by_number", a_map("1", "2", "3"), None, {"by_number": {"map": True}}),
    ("by_number", a_map("1", "2"), None, {}),
    ("place", a_map("line1", "line2", "line3", "line4"), None, {}),
    ("place", a_map("1", "2", "city"), None, {}),
    ("tags", a_map(*WORDS), Facts(values=100, filled=300), {"tags": {"map": True}}),
    ("tags", a_map(*WORDS), Facts(values=100, filled=1900), {}),
    ("tags", {"kinds": ["M"], "fields": None, "element": S}, None, {}),
    ("events", {"kinds": ["L"], "element": a_map(*UUIDS)}, None, {"events": {"map": True}}),
    ("shop", {"kinds": ["M"], "fields": {"by_user": a_map(*UUIDS)}}, None, {"shop.by_user": {"map": True}}),
    ("email", S, None, {"email": HASH_OR_OMIT}),
    ("email", S, texts(9, 9), {"email": HASH_OR_OMIT}),
    ("birthDate", S, texts(9, 9), {"birthDate": HASH_OR_OMIT}),
    ("email_verified", {"kinds": ["BOOL"]}, None, {}),
    ("email_sent_at", N, times(SECONDS), {"email_sent_at": TIMESTAMP_S}),
    ("email", {"kinds": ["NULL"]}, None, {}),
    ("address", a_map("street", "city"), None, {"address": OMIT}),
    ("profile", a_map("email", "stars"), None, {"profile.email": HASH_OR_OMIT}),
    ("guests", {"kinds": ["L"], "element": a_map("phone")}, None, {"guests.phone": HASH_OR_OMIT}),
    (
        "users",
        {"kinds": ["M"], "fields": {key: a_map("email") for key in UUIDS}},
        None,
        {"users": {"map": True}, "users.*.email": HASH_OR_OMIT},
    ),
    (
        "users",
        {"kinds": ["M"], "fields": None, "element": a_map("email")},
        None,
        {"users.*.email": HASH_OR_OMIT},
    ),
    ("*", a_map(*UUIDS), times(SECONDS), {}),
    ("", N, times(SECONDS), {}),
    ("x" * 256, N, times(SECONDS), {}),
    ("a.b.c.d.e.f.g.h.i.j", N, times(SECONDS), {}),
]


@pytest.mark.parametrize(("name", "seen", "facts", "expected"), ROWS)
def test_rules_follow_from_what_was_observed_and_measured(name, seen, facts, expected):
    found = proposals(observed({name: seen}), {name: facts} if facts else {})

    rules = {each.path: each.rules if each.needs_decision else each.rules[0] for each in found}
    assert rules == expected
    assert list(job_contract.problems(as_data(found)["columns"])) == []
    for each in found:
        for rule in each.rules:
            assert list(job_contract.problems({each.path: rule})) == []


def test_reasons_have_the_evidence_and_no_values_except_days():
    reasons = {
        name: proposals(observed({name: seen}), {name: facts})[0].reason
        for name, seen, facts in [
            ("at", N, times(MILLIS)),
            ("released", S, texts(1, 1, 1)),
            ("price", *scales({2: 9_000, 17: 2})),
            ("tags", a_map(*WORDS), Facts(values=100, filled=150)),
            ("by_user", a_map(*UUIDS), Facts()),
        ]
    }

    assert reasons == {
        "at": "1,204 values from 2019-03-01 to 2026-11-25",
        "released": "1 value, each a day, from 2019-03-01 to 2026-11-25",
        "price": "2 of 9,002 values would not fit: more than 2 digits after the point",
        "tags": "20 keys of one type. On average, a map has 1.5 of them",
        "by_user": "3 keys that look like ids, dates or numbers",
    }


@pytest.mark.parametrize(
    ("contract", "left"),
    [
        ({"at": {"name": "time"}}, ["shop.email", "shop.by_user"]),
        ({"shop.email": {"omit": True}}, ["at", "shop.by_user"]),
        ({"*.email": {"omit": True}}, ["at", "shop.by_user"]),
        ({"shop": {"omit": True}}, ["at"]),
        ({"shop.by_user": {"map": True}}, ["at", "shop.email"]),
        ({"other": {"omit": True}, "sho": {"omit": True}}, ["at", "shop.email", "shop.by_user"]),
    ],
)
def test_what_the_contract_has_already_is_not_proposed_again(contract, left):
    shop = {"kinds": ["M"], "fields": {"email": S, "by_user": a_map(*UUIDS)}}
    known = observed({"at": N, "shop": shop}, contract=contract)

    assert [each.path for each in proposals(known, {"at": times(SECONDS)})] == left
    assert ["at"] * ("at" not in contract) == [each.attribute for each in wanted(known)]


def test_keys_that_the_contract_declares_as_data_are_not_in_paths():
    users = {"kinds": ["M"], "fields": {name: a_map("email") for name in ("ann", "bob")}}

    [found] = proposals(observed({"users": users}, contract={"users": {"map": True}}), {})

    assert (found.path, found.rules) == ("users.*.email", HASH_OR_OMIT)


def test_a_contract_has_no_more_rules_than_it_may_have():
    attributes = {f"at_{n}": N for n in range(MOST_RULES + 1)} | {"email": S}
    facts = {name: times(SECONDS) for name in attributes if name != "email"}
    own = {"own": {"omit": True}}

    found = proposals(observed(attributes, contract=own), facts)

    columns = as_data(found)["columns"] | own
    assert len(columns) == MOST_RULES
    assert list(job_contract.problems(columns)) == []
    assert found[-1].path == "email"


# -------------------------------------------------------------------------------------------------- what is measured


@pytest.mark.parametrize(
    ("name", "seen", "changes", "expected"),
    [
        ("created", N, {}, "time"),
        ("views", N, {}, None),
        ("created", {"kinds": ["N"], "digits": 8}, {}, None),
        ("created", N | {"is_beyond_int64": True}, {}, None),
        ("created", N, {"output_format": "csv", "columns": {"created": STRING}}, "time"),
        ("created", N, {"columns": {"created": ("c", "timestamp")}}, None),
        ("created", N, {"columns": {}}, None),
        ("created", {"kinds": ["N", "S"]}, {}, None),
        ("price", N | {"scale": 3}, {"columns": {"price": ("c", "decimal(38,3)")}}, "scale"),
        ("price", N | {"scale": 30}, {"columns": {"price": STRING}}, "scale"),
        ("price", N | {"scale": 3}, {"output_format": "csv", "columns": {"price": STRING}}, None),
        ("title", S, {}, "text"),
        ("email", S, {}, None),
        ("title", {"kinds": ["NULL"]}, {}, None),
        ("tags", a_map(*WORDS), {"columns": {"tags": ("c", f"struct<{','.join(f'{w}:x' for w in WORDS)}>")}}, "fields"),
        ("tags", a_map(*WORDS), {"columns": {"tags": ("c", "struct<red_a:string>")}}, None),
        ("tags", a_map(*WORDS), {"columns": {"tags": ("c", "string")}}, None),
        ("tags", a_map(*WORDS), {"fields": None}, None),
    ],
)
def test_only_columns_that_could_have_a_rule_are_measured(name, seen, changes, expected):
    assert [each.what for each in wanted(observed({name: seen}, **changes))] == ([expected] if expected else [])


def test_fields_are_measured_by_their_names_in_the_column():
    seen = a_map(*WORDS[:-1], "Größe")
    fields = [*WORDS[:-1], "gr_e"]
    columns = {"tags": ("tags_2", f"struct<{','.join(f'{name}:string' for name in fields)}>")}

    [found] = wanted(observed({"tags": seen}, columns=columns, fields={"tags_2": {"gr_e": "Größe"}}))

    assert (found.column, list(found.fields)) == ("tags_2", fields)


# -------------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "personal", "time"),
    [
        ("email", True, False),
        ("e-mail", True, False),
        ("customerEmail", True, False),
        ("last_name", True, False),
        ("firstname", True, False),
        ("ip", True, False),
        ("ship", False, False),
        ("IPAddress", True, False),
        ("passport_no", True, False),
        ("date_of_birth", True, True),
        ("IBAN", True, False),
        ("name", False, False),
        ("phone_count", False, False),
        ("createdAt", False, True),
        ("created_at_ms", False, True),
        ("updated_count", False, False),
        ("format", False, False),
        ("expires", False, True),
        ("last_login", False, True),
        ("имя", False, False),
        ("", False, False),
    ],
)
def test_names_are_read_by_their_words(name, personal, time):
    assert (looks_personal(name), looks_like_time(name)) == (personal, time)


# --------------------------------------------------------------------------------------------------------------- YAML

NAMES = ["plain", "on", "Yes", "null", "a.b", 'with "quotes"', "it's", "Größe", "имя", "1", "1e3", "a: b", "# no", "-"]
HOSTILE = ["\x1b[31m", "a\nb", "\x85", "\u2028", "\u202e", "\ufeff", "😀", "\U000e0001", "\\", " x ", "~", "<<", "{a}"]


@pytest.mark.parametrize("name", [*NAMES, *HOSTILE])
def test_the_block_can_be_pasted_under_the_entry_of_a_table(tmp_path, name):
    shop = {"kinds": ["M"], "fields": {"email": S, name: a_map(*UUIDS)}}
    found = proposals(observed({name: N, "shop": shop}), {name: times(MILLIS)})
    text = block(found)
    indented = "".join(f"    {line}\n" for line in text.split("\n"))

    stack = pasted(tmp_path, indented)

    assert text.isprintable() or {c for c in text if not c.isprintable()} == {"\n"}
    expected = {name: TIMESTAMP_MS, f"shop.{name}": {"map": True}}
    assert yaml.safe_load(text)["Columns"] == expected
    assert job_contract.parsed(stack.blocks["Columns"]) == expected
    chosen = yaml.safe_load(text.replace("# shop.", "shop.").replace('# "shop.', '"shop.').partition("\n")[2])
    assert chosen["shop.email"] == {"omit": True}, "the last of the rules to choose from"


def test_a_block_of_rules_to_choose_has_none_until_someone_chooses(tmp_path):
    text = block(proposals(observed({"email": S}), {}))

    assert text.split("\n") == [
        "Columns:",
        "  # email: {hash: sha256}  # the name looks personal. Choose hash (needs HashSecretArn) or omit, or delete "
        "these lines",
        "  # email: {omit: true}",
    ]
    assert pasted(tmp_path, "".join(f"    {line}\n" for line in text.split("\n"))).blocks == {}


def test_types_with_a_comma_are_in_quotation_marks():
    found = proposals(*(lambda seen, facts: (observed({"price": seen}), {"price": facts}))(*scales({2: 9_000, 9: 1})))

    assert '  price: {as: "decimal(18,2)"}  # 1 of 9,001 values' in block(found)
    assert scalar("epoch_ms") == "epoch_ms"


def pasted(folder, indented):
    path = folder / "tables.yaml"
    path.write_text(f"tables:\n  Reviews:\n    OutputFormat: parquet\n{indented}", encoding="utf-8")
    [stack] = tables_file.read(path, parameters(INFRA / "table.yaml"))
    return stack
