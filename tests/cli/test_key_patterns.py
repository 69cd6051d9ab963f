"""Which parts of keys are labels and which are data, and what the placeholders are called."""

import pytest

from table_exports_cli import key_patterns
from table_exports_cli.key_patterns import Part, compiled, gain, pattern_of, plain, separator_of, templates

IDS = [f"{number:04x}a1" for number in range(40)]
A, B = frozenset("ab"), frozenset("xyz")


def patterns(*keys):
    """The patterns of keys, each given with what their items have."""
    texts = {number: text for number, (text, _) in enumerate(keys)}
    separator = separator_of(texts.values())
    found = templates(texts, [presence for _, presence in keys], separator)
    return {pattern_of(template, separator, "sk", set()) for template in found.values()}


def each(form, presence, ids=IDS):
    return [(form.format(id), presence) for id in ids]


def test_a_pattern_distinguishes_what_begins_alike():
    assert patterns(*each("ORDER#{}", A), *each("ORDER#{0}#LINE#{0}", B)) == {
        "ORDER#{order_id}",
        "ORDER#{order_id}#LINE#{line_id}",
    }


def test_labels_are_told_from_words_that_are_data_by_what_items_have():
    names = ["alice", "bob", "carol", "dave", "erin"] * 8

    assert patterns(*each("USER#{}", A, names)) == {"USER#{user_id}"}
    assert patterns(*each("{}", A, names)) == {"{sk_1}"}
    assert patterns(*each("profile", A), *each("settings", B)) == {"profile", "settings"}
    assert patterns(*each("USER#{}#profile", A), *each("USER#{}#settings", B)) == {
        "USER#{user_id}#profile",
        "USER#{user_id}#settings",
    }


def test_labels_with_a_capital_letter_need_no_other_difference():
    assert patterns(*each("LIKE#{}", A), *each("FOLLOW#{}", A)) == {"LIKE#{like_id}", "FOLLOW#{follow_id}"}


def test_a_tenant_before_the_label_is_data():
    keys = [
        (f"{tenant}#{label}#{id}", presence)
        for tenant in ("acme", "globex", "initech")
        for label, presence in (("user", A), ("order", B))
        for id in IDS
    ]

    assert patterns(*keys) == {"{sk_1}#user#{user_id}", "{sk_1}#order#{order_id}"}


def test_prefixes_are_labels_if_they_say_what_items_have():
    assert patterns(*each("o-{}", A), *each("msg_{}", B)) == {"o-{o_id}", "msg_{msg_id}"}
    assert patterns(*each("o-{}", A), *each("msg_{}", A)) == {"{sk_1}"}


def test_keys_of_electrodb():
    keys = [*each("$tracker#projectid_{}", A), *each("$tracker#userid_{}", B)]

    assert patterns(*keys) == {"$tracker#projectid_{projectid}", "$tracker#userid_{userid}"}


def test_a_prefix_that_all_keys_have_is_literal():
    assert patterns(*each("$shop#userid_{}", A)) == {"$shop#userid_{userid}"}
    assert patterns(*each("_unique#emp-{}", A)) == {"_unique#emp-{emp_id}"}
    assert patterns(*each("emp-{}", A, IDS[:2] * 5)) == {"{sk_1}"}


def test_the_entity_and_version_of_electrodb_are_a_label():
    assert patterns(*each("$user_1#cart_{}", A), *each("$user_1", B)) == {"$user_1#cart_{cart_id}", "$user_1"}


def test_an_empty_part_is_literal():
    assert patterns(*each("META#", A)) == {"META#"}
    assert patterns(*each("META#", A), *each("META#{}", A)) == {"META#", "META#{meta_id}"}


@pytest.mark.parametrize(
    ("texts", "separator"),
    [(["A#1:2", "B#1:2"], "#"), (["A|1", "B"], "|"), (["a/b/c"], "/"), (["$app", "x"], "#"), ([], "#")],
)
def test_the_separator_is_the_punctuation_of_most_keys(texts, separator):
    assert separator_of(texts) == separator


def test_each_placeholder_has_a_name_of_its_own_that_a_column_can_have():
    template = (Part("userId", False), Part("", True), Part("9 Lives!", False), Part("", True), Part("", True))
    taken = {"userid"}

    pattern = pattern_of(template, "#", "Sort Key", taken)

    assert pattern == "userId#{user_id}#9 Lives!#{_9_lives_id}#{sort_key_5}"
    assert taken == {"userid", "user_id", "_9_lives_id", "sort_key_5"}
    assert pattern_of(template[:2], "#", "pk", taken) == "userId#{user_id_2}"


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("ORDER#{order_id}", "ORDER#1:2", True),
        ("ORDER#{order_id}", "ORDER#1#2", False),
        ("ORDER#{order_id}", "ORDER#", False),
        ("ORDER#{order_id}", "xORDER#1", False),
        ("{a}", "x#y", False),
        ("{a}", "x:y", True),
        ("a.b-{a}:c", "axb-1:c", False),
        ("a.b-{a}:c", "a.b-1#2:c", True),
        ("a.b-{a}:c", "a.b-1:2:c", False),
    ],
)
def test_a_pattern_matches_as_the_job_matches_it(pattern, key, matches):
    assert bool(compiled(pattern).fullmatch(key)) is matches


def test_the_gain_is_high_if_groups_predict_what_items_have():
    attributes = A | B

    assert gain([[A] * 1000, [B] * 1000], attributes) > 0.99
    assert gain([[A, B] * 500, [A, B] * 500], attributes) < 0.01
    assert gain([[A], [B]] * 40, attributes) < 0.05  # one item of a group predicts nothing
    assert gain([[A] * 5], frozenset()) == 0


def test_names_are_made_of_words():
    assert [plain(text) for text in ("OrderLine", "$order_1", "#", "É")] == ["order_line", "order_1", "", ""]
    assert key_patterns.labels_of((Part("USER", False), Part("", True), Part("x-", True))) == ["user", "x"]


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        (("USER#{}", "PROFILE"), "user_profile"),
        (("USER#{}", "USER_PROFILE"), "user_profile"),
        (("USER#{}", "ORDER#{}"), "order"),
        (("ORDER#{}", "METADATA"), "order"),
        (("ORDER#{}", "#METADATA#{}"), "order"),
        (("METADATA#{}", "{}"), ""),
        (("ORDER#{}", "ORDER#{}#LINE#{}"), "order_line"),
        (("USER#{}",), "user"),
        (("{}", "{}"), ""),
    ],
)
def test_the_name_of_a_type_comes_from_labels_that_say_something(keys, name):
    """Each `{}` is data."""
    texts = [[(part == "{}", part) for part in key.split("#")] for key in keys]
    of_keys = [tuple(Part("" if is_data else text, is_data) for is_data, text in parts) for parts in texts]

    assert key_patterns.type_name(of_keys) == name
