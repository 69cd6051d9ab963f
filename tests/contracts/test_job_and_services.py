"""What the job writes and the services recognize. They share no code."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from table_export_job import types
from table_export_job.columns import COMMENT
from table_export_job.entities import LONGEST_NAME, SNAPSHOTS, derived_name
from table_export_job.errors import ExportFailed, PermanentError
from table_exports.domain import catalog, naming
from table_exports.domain.aws_events import JobRunEnded
from table_exports.domain.catalog import OUR_COMMENT


def pa_struct(fields):
    return pa.struct(list(fields.items()))


simple = st.sampled_from([pa.int64(), pa.string(), pa.decimal128(38, 1), pa.decimal128(38, 10)])
anything = st.recursive(
    simple,
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from(["a", "aa", "b", "c"]), inner, min_size=1, max_size=3).map(pa_struct),
        inner.map(pa.list_),
        inner.map(lambda value: pa.map_(pa.string(), value)),
    ),
    max_leaves=6,
)


def a_run_that_ended_with(error):
    return JobRunEnded(job_name="a-job", run_id="jr_1", state="FAILED", message=f"{type(error).__name__}: {error}")


def test_a_permanent_error_of_the_job_is_one_for_the_service():
    assert a_run_that_ended_with(PermanentError("Another format")).failed_permanently
    assert not a_run_that_ended_with(ExportFailed("Half a snapshot")).failed_permanently


def test_a_comment_of_the_job_is_one_of_ours_for_the_services():
    assert COMMENT == OUR_COMMENT


@given(st.data())
def test_job_and_services_agree_on_which_type_extends_another(data):
    """The job decides by Arrow's types whether a column stays, the services by Hive's whether a table fits."""
    type = data.draw(anything)
    by = data.draw(st.one_of(anything, extensions(type)))

    extended = catalog.is_extended(types.hive_type_of_arrow(type), types.hive_type_of_arrow(by))

    assert extended == types.is_extended(type, by)


@given(st.data())
def test_a_type_with_more_fields_at_the_end_of_structs_extends_another(data):
    type = data.draw(anything)

    assert types.is_extended(type, data.draw(extensions(type)))


@st.composite
def extensions(draw, type):
    """The type, with additional fields at the end of some of its structs."""
    if pa.types.is_list(type):
        return pa.list_(draw(extensions(type.value_type)))
    if pa.types.is_map(type):
        return pa.map_(pa.string(), draw(extensions(type.item_type)))
    if not pa.types.is_struct(type):
        return type
    names = [name for name in ("d", "aaa", "e") if name not in {field.name for field in type}]
    more = draw(st.dictionaries(st.sampled_from(names), simple, max_size=2)) if names else {}
    return pa_struct({field.name: draw(extensions(field.type)) for field in type} | more)


def test_the_names_of_entities_follow_the_rules_of_catalog_names():
    assert LONGEST_NAME == naming.LONGEST_CATALOG_NAME
    assert f"{SNAPSHOTS}_" == naming.SNAPSHOT_PREFIX
    assert derived_name("My-Café.v2") == naming.catalog_name("My-Café.v2") == "my_caf__v2"
