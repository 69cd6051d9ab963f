"""Which values fit a type of a column contract, and what they become."""

from datetime import datetime, timedelta
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from table_export_job.conversions import Conversion, type_problem
from table_export_job.formats import FORMATS

NULL = {"NULL": True}


def n(text):
    return {"N": text}


def s(text):
    return {"S": text}


@pytest.mark.parametrize(
    ("notation", "value", "milliseconds"),
    [
        ("epoch_ms", n("1700000000123"), "1700000000123"),
        ("epoch_ms", s("1700000000123"), "1700000000123"),
        ("epoch_ms", n("1700000000123.9"), "1700000000123"),
        ("epoch_ms", n("-1"), "-1"),
        ("epoch_ms", n("1.7E+12"), "1700000000000"),
        ("epoch_s", n("1700000000"), "1700000000000"),
        ("epoch_s", n("1700000000.5"), "1700000000500"),
        ("epoch_s", n("1e-300"), "0"),
        ("epoch_s", n("1." + "9" * 37), "1999"),
        ("epoch_s", s("1." + "9" * 99), "1999"),
        ("epoch_s", n("-1e-300"), "-1"),
        ("epoch_s", n("-1.0000005"), "-1001"),
        ("epoch_ms", n("-1000.0005"), "-1001"),
        ("epoch_s", n("-1.5"), "-1500"),
        ("iso8601", s("2023-11-14T22:13:20Z"), "1700000000000"),
        ("iso8601", s("2023-11-14T22:13:20.123456"), "1700000000123"),
        ("iso8601", s("2023-11-14T23:13:20+01:00"), "1700000000000"),
        ("iso8601", s("20231114T221320Z"), "1700000000000"),
        ("iso8601", s("1969-12-31T23:59:59.9999Z"), "-1"),
        ("iso8601", s("2023-11-14"), "1699920000000"),
        ("%d.%m.%Y %H:%M:%S", s("14.11.2023 22:13:20"), "1700000000000"),
        ("%b %d %Y %I:%M %p %z", s("Nov 14 2023 11:13 PM +0100"), "1699999980000"),
        ("iso8601", s("2023-11-14 22:13"), "1699999980000"),
        ("iso8601", s("2023-11-14T22:13:20,5+0000"), "1700000000500"),
        ("%Y%m%d", n("20231114"), "1699920000000"),
        ("%d.%m.%Y %H:%M", s("1.2.2023 3:04"), "1675220640000"),
        ("%d%b%y", s("1Feb23"), "1675209600000"),
        ("%Y-%m-%dT%H:%M:%S%z", s("2023-11-14T22:13:20Z"), "1700000000000"),
        ("%Y-%m-%dT%H:%M:%S.%f%z", s("2023-11-14T23:13:20.5+01:00"), "1700000000500"),
        ("%Y%m%d%H%M%S%f", n("20231114221320123"), "1700000000123"),
        ("%Y%m%d %H%M%S%z", s("20231114  231320+0100"), "1700000000000"),
        ("%Y%j", n("2023318"), "1699920000000"),
        ("%%%d/20%y/%m", s("%14/2023/1"), "1673654400000"),
    ],
)
def test_a_timestamp_is_read_from_its_notation(notation, value, milliseconds):
    assert type_problem("timestamp", notation) is None
    assert Conversion("timestamp", notation).convert(value) == n(milliseconds)


@pytest.mark.parametrize(
    ("notation", "value"),
    [
        ("epoch_ms", s("yesterday")),
        ("epoch_ms", s("")),
        ("epoch_ms", n("1e300")),
        ("epoch_ms", n("-99999999999999999")),
        ("epoch_s", n("1700000000000")),  # milliseconds: far after the year 9999
        ("epoch_ms", {"BOOL": True}),
        ("iso8601", s("14.11.2023")),
        ("iso8601", s("2023-02-29")),
        ("iso8601", {"L": []}),
        ("iso8601", s("0001-01-01T00:00:00+05:00")),
        ("%d.%m.%Y", s("14.11.2023 22:13")),
        ("iso8601", n("1612012800000")),  # milliseconds, not 28 January 1612
        ("iso8601", n("20231114")),
        ("iso8601", s("1612012800000")),
        ("iso8601", s("20231114")),
        ("iso8601", s("1" * 400)),
        ("iso8601", s("2023-11-14x22:13")),
        ("iso8601", s("2023-11-14T")),
        ("iso8601", s("2023-11-14\n")),
        ("iso8601", s("\u0662\u0660\u0662\u0663-\u0661\u0661-\u0661\u0664")),
        ("%Y%m%d", n("2026112")),  # the 11th or the 2nd of a month
        ("%Y%m%d", n("202611")),
        ("%Y%m%d", s("202611 2")),
        ("%d%m%Y", n("1122026")),
        ("%Y%j", n("20261")),
        ("%Y%m%d%H%M%S", n("1612012800000")),
        ("%Y%m%d%H%M%S%f", s("20231114227512")),
        ("%Y/%d%m", s("2012/11")),
        ("%d.%m.%Y", s("٢.٣.٢٠٢٣")),
    ],
)
def test_what_is_no_time_in_its_notation_does_not_fit(notation, value):
    assert Conversion("timestamp", notation).convert(value) is None


@given(
    st.datetimes(datetime(1000, 1, 1)),
    st.lists(st.sampled_from(["%Y", "%m", "%d", "%H", "%M", "%S"]), min_size=6, max_size=6, unique=True),
    st.lists(st.sampled_from(["", "-", " ", ":", "T"]), min_size=5, max_size=5),
    st.data(),
)
def test_a_text_that_lacks_digits_is_the_time_that_was_written_or_does_not_fit(time, directives, separators, data):
    time = time.replace(microsecond=0)
    notation = "".join(chain.from_iterable(zip(directives, [*separators, ""], strict=True)))
    numbers = [time.strftime(directive) for directive in directives]
    short = [data.draw(st.sampled_from([number, str(int(number))])) for number in numbers]
    found = Conversion("timestamp", notation).convert(
        s("".join(chain.from_iterable(zip(short, [*separators, ""], strict=True))))
    )

    written = n(str((time - datetime(1970, 1, 1)) // timedelta(milliseconds=1)))
    assert found in (written, None)
    if short == numbers or all(separators):
        assert found == written


@pytest.mark.parametrize(("milliseconds", "fits"), [("-1", False), ("-1000", True), ("1", True)])
def test_orc_has_no_fractions_of_seconds_before_1970(milliseconds, fits):
    """Arrow writes negative nanoseconds, for which readers reject the file."""
    converted = Conversion("timestamp", "epoch_ms", FORMATS["orc"].rules).convert(n(milliseconds))

    assert converted == (n(milliseconds) if fits else None)
    assert Conversion("date", "epoch_ms", FORMATS["orc"].rules).convert(n("-1")) == n("-1")


@pytest.mark.parametrize(
    ("type", "value", "converted"),
    [
        ("decimal(18,2)", n("12.50"), n("12.5")),
        ("decimal(18,2)", s(" -12.5 "), n("-12.5")),
        ("decimal(18,2)", n("1E+3"), n("1000")),
        ("decimal(18,2)", n("0E-30"), n("0")),
        ("decimal(18,2)", n("0.005"), None),
        ("decimal(18,2)", s("1" + "0" * 40 + "." + "0" * 40 + "1"), None),
        ("decimal(4,2)", n("99.99"), n("99.99")),
        ("decimal(4,2)", n("100"), None),
        ("decimal(38,0)", n("9" * 38), n("9" * 38)),
        ("bigint", n("9223372036854775807"), n("9223372036854775807")),
        ("bigint", n("-9223372036854775808"), n("-9223372036854775808")),
        ("bigint", n("9223372036854775808"), None),
        ("bigint", n("1.5"), None),
        ("bigint", s("0x10"), None),
        ("bigint", s("١٢"), None),
        ("double", n("0.1"), n("0.1")),
        ("double", n("1E+300"), n("1e+300")),
        ("double", s("1e999"), None),
        ("double", s("NaN"), None),
        ("boolean", {"BOOL": False}, {"BOOL": False}),
        ("boolean", s("TRUE"), {"BOOL": True}),
        ("boolean", n("0"), {"BOOL": False}),
        ("boolean", n("2"), None),
        ("boolean", s("yes"), None),
        ("date", s("2023-11-14"), None),  # read from epoch_s here
        ("date", n("-1"), n("-1")),
        ("date", n("-0.0000001"), n("-1")),
        ("date", n("86399." + "9" * 33), n("0")),
        ("date", n("86400"), n("1")),
        ("string", n("1.0"), s("1.0")),
        ("string", {"M": {"a": n("1")}}, s('{"a":1}')),
        ("json", s("a"), s('"a"')),
        ("json", {"L": [NULL, {"BOOL": True}]}, s("[null,true]")),
    ],
)
def test_a_value_becomes_one_of_the_type_or_does_not_fit(type, value, converted):
    assert Conversion(type, "epoch_s" if type == "date" else None).convert(value) == converted


@pytest.mark.parametrize("type", ["timestamp", "decimal(3,1)", "double", "bigint", "boolean", "string", "json"])
def test_null_stays_null(type):
    assert Conversion(type, "iso8601" if type == "timestamp" else None).convert(NULL) == NULL


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3), st.integers(1, 38), st.integers(0, 38))
def test_a_decimal_is_exact_or_does_not_fit(number, precision, scale):
    if scale > precision:
        return
    found = Conversion(f"decimal({precision},{scale})", None).convert(n(str(number)))

    digits = f"{number.copy_abs():f}"  # abs() rounds to 28 digits
    whole, _, fraction = digits.partition(".")
    fits = len(whole.lstrip("0")) <= precision - scale and len(fraction.rstrip("0")) <= scale
    assert (found is not None) == fits
    if found:
        assert type(number)(found["N"]) == number


@pytest.mark.parametrize(
    ("type", "notation", "field", "message"),
    [
        ("timestamp", None, "from", "must be epoch_s, epoch_ms, iso8601 or a pattern such as %d.%m.%Y %H:%M"),
        ("date", "epoch", "from", "epoch must be epoch_s, epoch_ms, iso8601 or a pattern such as %d.%m.%Y %H:%M"),
        ("date", [], "from", "[] must be epoch_s, epoch_ms, iso8601 or a pattern such as %d.%m.%Y %H:%M"),
        ("date", "%c", "from", "%c has %c, which a pattern cannot have. docs/columns.md lists the others"),
        ("date", "%H:%M", "from", "%H:%M must have year, month and day, such as %Y, %m and %d"),
        ("date", "%f%Y%m%d", "from", "%f%Y%m%d is not a pattern of a time: numbers without a separator between them "
         "must have all their digits"),
        ("date", "%Y-%m-%d%", "from", "%Y-%m-%d% has %, which a pattern cannot have. docs/columns.md lists the others"),
        ("bigint", "iso8601", "from", "only a timestamp or a date has it. Remove it"),
        ("integer", None, "as", "integer must be one of timestamp, date, double, bigint, boolean, string, json, or a "
         "decimal such as decimal(18,2)"),
        ("decimal(39,2)", None, "as", "decimal(39,2) must have 1 to 38 digits, and no more than these after the point"),
        ("decimal(2,3)", None, "as", "decimal(2,3) must have 1 to 38 digits, and no more than these after the point"),
        (7, None, "as", "7 must be one of timestamp, date, double, bigint, boolean, string, json, or a decimal such as "
         "decimal(18,2)"),
    ],
)  # fmt: skip
def test_a_wrong_type_is_named_with_what_to_write(type, notation, field, message):
    assert type_problem(type, notation) == ((field,), message)
