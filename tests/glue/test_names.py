"""The names of columns and nested fields."""

import pytest

from table_export_job.names import column_names, precedence


@pytest.mark.parametrize(
    ("attributes", "names"),
    [
        pytest.param(["userId", "userid", "USERID"], ["userid", "userid_2", "userid_3"], id="case alone"),
        pytest.param(["a", "A", "a_2"], ["a", "a_2", "a_2_2"], id="a suffix that is taken"),
        pytest.param(["a-b", "a.b", "a b", "1st"], ["a_b", "a_b_2", "a_b_3", "1st"], id="hyphen, dot, space, digit"),
        pytest.param([" ,;{}()\n\t=<>:`\"'"], ["_" * 16], id="what types and formats refuse"),
        pytest.param(["Größe", "名前"], ["größe", "名前"], id="letters of any script"),
        pytest.param(["m²", "½", "①", "٣"], ["m_", "_", "__2", "٣"], id="numbers that are no digits"),
        pytest.param(["\U00010428\U00020000", "\uff5a"], ["__", "\uff5a"], id="letters beyond U+FFFF"),
        pytest.param(["", "_"], ["_", "__2"], id="no name at all"),
        pytest.param(["x" * 300, "x" * 299], ["x" * 255, "x" * 253 + "_2"], id="longer than the catalog takes"),
        pytest.param(["snapshot_timestamp"], ["snapshot_timestamp_2"], id="the partition column's name"),
        pytest.param(["_col0", "_col0_2", "_Col7"], ["_col0_2", "_col0_2_2", "_col7_2"], id="names of positions"),
        pytest.param(["sinif", "s\u0131n\u0131f"], ["sinif", "s\u0131n\u0131f_2"], id="dotless i"),
        pytest.param(["\u00b5", "\u03bc"], ["\u00b5", "\u03bc_2"], id="micro sign and mu"),
        pytest.param(["\u03c3", "\u03c2"], ["\u03c3", "\u03c2_2"], id="final sigma"),
        pytest.param(["s", "\u017f"], ["s", "\u017f_2"], id="long s"),
        pytest.param(["\u00df", "ss", "\ufb01", "fi"], ["\u00df", "ss", "\ufb01", "fi"], id="not alike to Java"),
        pytest.param(
            ["\u09ce\u0d7b\u0972", "\u0860", "\u9fff"], ["\u09ce\u0d7b\u0972", "_", "__2"], id="newer letters"
        ),
    ],
)
def test_names_are_what_the_catalog_accepts_and_no_two_are_alike(attributes, names):
    assert list(column_names(attributes, ["snapshot_timestamp"], ascii_only=False).values()) == names


def test_names_in_avro_are_ascii_and_do_not_start_with_a_digit():
    names = column_names(["1st", "Größe", "名前", "住所", "_1st"], [], ascii_only=True)

    assert list(names.values()) == ["_1st", "gr__e", "__", "___2", "_1st_2"]


@pytest.mark.parametrize(
    ("attributes", "in_order"),
    [
        (["User_Id", "user-id", "user_id"], ["user_id", "User_Id", "user-id"]),
        (["B", "a", "A", "b"], ["a", "b", "A", "B"]),
        (["x" * 300, "z"], ["z", "x" * 300]),
    ],
)
def test_attributes_whose_names_need_no_change_come_first(attributes, in_order):
    assert sorted(attributes, key=lambda name: precedence(name, ascii_only=False)) == in_order


def test_in_avro_a_name_with_other_letters_needs_a_change():
    assert sorted(["gr\u00f6\u00dfe", "gr__e"], key=lambda name: precedence(name, ascii_only=True))[0] == "gr__e"
