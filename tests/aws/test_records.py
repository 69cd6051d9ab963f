"""The conditions themselves: what a write expects to find, and what it leaves when it does not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from examples import NOW, a_pipeline, an_export

from table_exports.domain.pipeline import RECENT, End
from table_exports.domain.stages import Stage


@pytest.fixture
def begun(records):
    assert records.register(a_pipeline())
    export = an_export()
    assert records.begin(export)
    return export


def attributes(records, export):
    key = {"pipeline": {"S": export.pipeline}, "record": {"S": export.record_key}}
    return records._client.get_item(TableName=records._table, Key=key)["Item"]


def test_what_is_stored_comes_back_as_it_was(records, begun):
    assert records.export("reviews-parquet", begun.record_key) == begun
    assert records.waiting_on("export-request/e1") == [begun]
    assert records.find(a_pipeline().pipeline, "e1") == begun


def test_a_pipeline_has_one_export_in_flight(records, begun):
    assert not records.begin(an_export(export_id="e2", snapshot_timestamp="2026-11-23T03-00-00Z"))
    assert records.find(a_pipeline().pipeline, "e2") is None


def test_no_export_begins_of_a_pipeline_that_is_not_registered(records):
    assert not records.begin(an_export())
    assert records.find(a_pipeline().pipeline, "e1") is None


def test_the_export_begun_last_does_not_begin_again_even_before_the_index_knows_it(records, begun):
    assert records.move(begun, begun.fail("refused at once", NOW))

    assert not records.begin(an_export(snapshot_timestamp="2026-11-23T02-00-08Z"))


def test_a_pipeline_moves_on_to_its_next_export(records, begun):
    assert records.move(begun, begun.fail("no luck", NOW))

    assert records.begin(an_export(export_id="e2", snapshot_timestamp="2026-11-23T03-00-00Z"))


def test_a_move_from_a_wait_that_is_over_changes_nothing(records, begun):
    exporting = begun.advance(Stage.EXPORTING, "jr_1", NOW)
    assert records.move(begun, exporting)

    assert not records.move(begun, begun.advance(Stage.EXPORTING, "jr_2", NOW))
    assert not records.move(begun, begun.fail("late", NOW))
    assert records.export("reviews-parquet", begun.record_key) == exporting


def test_of_two_waits_for_one_crawler_only_the_one_meant_is_ended(records, begun):
    exporting = begun.advance(Stage.EXPORTING, "jr_1", NOW)
    first = exporting.crawl(False, NOW)
    again = first.crawl(True, datetime(2026, 11, 23, 3, tzinfo=UTC))
    assert records.move(begun, exporting)
    assert records.move(exporting, first)
    assert records.move(first, again)

    assert not records.move(first, first.fail("of the first wait", NOW))
    assert records.export("reviews-parquet", begun.record_key) == again


def test_an_end_frees_the_lock_and_is_noted_in_the_head(records, begun):
    publishing = an_export(stage=Stage.PUBLISHING, waiting_on="athena-query/q")
    assert records.move(begun, publishing)

    assert records.move(publishing, publishing.succeed(NOW))

    head = records.pipeline("reviews-parquet")
    assert (head.export_in_flight, head.published_snapshot) == (None, "2026-11-23T02-00-07Z")
    assert (head.last_succeeded_at, head.last_failed_at) == (NOW, None)


def test_a_failed_export_whose_view_shows_its_snapshot_has_published_it(records, begun):
    assert records.ask_to_show(begun)

    assert records.move(begun, replace(begun, published=True).fail("cancelled", NOW))

    head = records.pipeline("reviews-parquet")
    assert (head.published_snapshot, head.published_snapshots) == (
        begun.snapshot_timestamp,
        (begun.snapshot_timestamp,),
    )
    assert (head.last_succeeded_at, head.last_failed_at) == (None, NOW)
    assert records.export("reviews-parquet", begun.record_key).published


@pytest.mark.parametrize("entities", [(), ("reviews_orders", "reviews_other")])
def test_the_views_that_were_asked_to_show_a_snapshot_are_known(records, begun, entities):
    assert records.asked_views(begun) == ()
    if entities:
        assert records.claim_entities(begun, records.pipeline("reviews-parquet"), entities)

    assert records.ask_to_show(begun)

    assert records.asked_views(begun) == (entities or ("reviews",))
    assert records.asked_views(replace(begun, snapshot_timestamp="2026-11-24T02-00-07Z")) == ()


@pytest.mark.parametrize(("share", "known"), [("0.85", "0.85"), ("0", "0"), (None, "0.5")])
def test_the_head_has_the_hot_share_of_the_last_scan(records, begun, share, known):
    records._client.update_item(
        TableName=records._table,
        Key={"pipeline": {"S": begun.pipeline}, "record": {"S": "pipeline"}},
        UpdateExpression="SET hot_share = :before",
        ExpressionAttributeValues={":before": {"N": "0.5"}},
    )
    hot = Decimal(share) if share else None
    publishing = an_export(stage=Stage.PUBLISHING, waiting_on="athena-query/q", hot_share=hot)
    assert records.move(begun, publishing)

    assert records.move(publishing, publishing.succeed(NOW))

    assert records.pipeline("reviews-parquet").hot_share == Decimal(known)


def test_an_ended_export_waits_for_nothing_and_expires_with_its_history(records, begun):
    assert records.move(begun, begun.fail("no luck", NOW))

    stored = attributes(records, begun)
    assert "waiting_on" not in stored
    assert stored["expires_at"] == {"N": str(int(datetime(2027, 2, 21, 2, 0, 7, tzinfo=UTC).timestamp()))}
    assert records.waiting_on("export-request/e1") == []


def test_a_write_leaves_the_attributes_of_a_newer_version_alone(records, begun):
    records._client.update_item(
        TableName=records._table,
        Key={"pipeline": {"S": begun.pipeline}, "record": {"S": begun.record_key}},
        UpdateExpression="SET of_a_later_version = :x",
        ExpressionAttributeValues={":x": {"S": "kept"}},
    )

    assert records.move(begun, begun.advance(Stage.EXPORTING, "jr_1", NOW))

    assert attributes(records, begun)["of_a_later_version"] == {"S": "kept"}


def test_an_end_after_the_lock_was_taken_over_leaves_the_new_holder_alone(records, begun):
    records._client.update_item(
        TableName=records._table,
        Key={"pipeline": {"S": begun.pipeline}, "record": {"S": "pipeline"}},
        UpdateExpression="SET export_in_flight = :other",
        ExpressionAttributeValues={":other": {"S": "export#2026-11-23T09-00-00Z#e2"}},
    )

    assert records.move(begun, begun.fail("overdue", NOW))

    head = records.pipeline("reviews-parquet")
    assert (head.export_in_flight, head.last_failed_at) == ("export#2026-11-23T09-00-00Z#e2", None)


def conflicting(records, monkeypatch, times):
    """The next transactions meet another write to the same records, so many times."""
    client, left = records._client, [times]
    write = client.transact_write_items

    def sometimes(**request):
        if left[0]:
            left[0] -= 1
            raise client.exceptions.TransactionCanceledException(
                {
                    "Error": {"Code": "TransactionCanceledException"},
                    "CancellationReasons": [{"Code": "TransactionConflict"}],
                },
                "TransactWriteItems",
            )
        return write(**request)

    monkeypatch.setattr(client, "transact_write_items", sometimes)


def test_a_write_that_meets_another_is_tried_again(records, begun, monkeypatch):
    conflicting(records, monkeypatch, times=2)

    assert records.move(begun, begun.fail("no luck", NOW))
    assert records.pipeline("reviews-parquet").export_in_flight is None


def test_a_conflict_that_lasts_is_no_answer_but_an_error(records, begun, monkeypatch):
    conflicting(records, monkeypatch, times=3)

    with pytest.raises(records._client.exceptions.TransactionCanceledException):
        records.move(begun, begun.fail("no luck", NOW))


def test_a_record_that_is_there_already_is_not_written_over(records, begun):
    """Even if the head has forgotten it."""
    key = {"pipeline": {"S": "reviews-parquet"}, "record": {"S": "pipeline"}}
    records._client.update_item(
        TableName=records._table, Key=key, UpdateExpression="REMOVE export_in_flight, latest_export_id"
    )

    assert not records.begin(an_export(table_name="Another"))
    assert records.export("reviews-parquet", begun.record_key).table_name == "Reviews"


def test_of_two_deliveries_that_claim_an_export_one_gets_it(records, begun):
    first, second = begun.claim(NOW), begun.claim(NOW + timedelta(seconds=1))

    assert records.move(begun, first)
    assert not records.move(begun, second)
    assert not records.move(begun, begun.fail("by one that had no claim", NOW))
    assert records.move(first, first.defer("Glue is busy"))


def test_a_move_that_changes_nothing_is_no_write(records, begun):
    deferred = begun.defer("Glue is busy")
    assert records.move(begun, deferred)

    assert records.move(deferred, deferred.defer("Glue is busy"))


def test_those_in_flight_are_found_and_no_others(records, begun):
    records.register(a_pipeline(pipeline="orders-parquet", catalog_name="orders"))
    ended = an_export(pipeline="orders-parquet", export_id="e2", waiting_on="export-request/e2")
    assert records.begin(ended)
    assert {export.export_id for export in records.in_flight()} == {"e1", "e2"}
    assert records.move(ended, ended.fail("no luck", NOW))

    assert list(records.in_flight()) == [begun]


def test_a_resumed_export_takes_the_lock_and_does_not_expire(records, begun):
    failed = begun.fail("no luck", NOW)
    assert records.move(begun, failed)
    resumed = failed.resume("r1", max_attempts=2, now=NOW)

    assert records.resume(failed, resumed)

    assert records.export("reviews-parquet", begun.record_key) == resumed
    assert records.pipeline("reviews-parquet").export_in_flight == begun.record_key
    assert not {"expires_at", "reason", "ended_at", "failed_stage"} & attributes(records, begun).keys()


def test_an_export_is_resumed_once_and_not_while_another_holds_the_lock(records, begun):
    failed = begun.fail("no luck", NOW)
    assert records.move(begun, failed)
    other = an_export(export_id="e2", snapshot_timestamp="2026-11-23T03-00-00Z")
    assert records.begin(other)
    assert not records.resume(failed, failed.resume("r1", max_attempts=2, now=NOW))
    assert records.export("reviews-parquet", begun.record_key) == failed

    assert records.move(other, other.fail("no luck", NOW))
    assert records.resume(failed, failed.resume("r1", max_attempts=2, now=NOW))
    assert not records.resume(failed, failed.resume("r1", max_attempts=2, now=NOW + timedelta(seconds=1)))


def test_where_a_pipeline_stands_outlives_its_stack(records, begun):
    """Its view does, too, and must not move backwards."""
    publishing = an_export(stage=Stage.PUBLISHING, waiting_on="athena-query/q")
    assert records.move(begun, publishing)
    assert records.move(publishing, publishing.succeed(NOW))
    records.unregister("reviews-parquet", a_pipeline().stack_id)
    assert records.pipeline("reviews-parquet") is None
    assert not records.begin(an_export(export_id="e2", snapshot_timestamp="2026-11-23T03-00-00Z"))

    assert records.register(a_pipeline(stack_id="another"))

    assert records.pipeline("reviews-parquet").published_snapshot == "2026-11-23T02-00-07Z"


def test_an_export_in_flight_keeps_its_lock_when_its_stack_is_made_anew(records, begun):
    records.unregister("reviews-parquet", a_pipeline().stack_id)
    assert records.register(a_pipeline(stack_id="another"))

    assert not records.begin(an_export(export_id="e2", snapshot_timestamp="2026-11-23T03-00-00Z"))
    assert records.move(begun, begun.fail("its job is gone", NOW))
    assert records.begin(an_export(export_id="e2", snapshot_timestamp="2026-11-23T03-00-00Z"))


def test_the_view_is_never_asked_for_an_older_snapshot_than_before(records, begun):
    """What a query does, it may have done though it failed or was cancelled."""
    assert records.ask_to_show(begun)
    assert records.ask_to_show(begun)  # another attempt
    failed = begun.fail("its query was cancelled", NOW)
    assert records.move(begun, failed)
    newer = an_export(export_id="e2", snapshot_timestamp="2026-11-23T03-00-00Z")
    assert records.begin(newer)
    assert not records.ask_to_show(begun)  # another holds the lock
    assert records.ask_to_show(newer)
    assert records.move(newer, newer.fail("its query was cancelled", NOW))

    resumed = failed.resume("r1", max_attempts=1, now=NOW)
    assert records.resume(failed, resumed)

    assert not records.ask_to_show(resumed)
    assert records.pipeline("reviews-parquet").why_not_resume(failed)


def test_a_head_remembers_the_last_ends_and_what_came_of_them(records):
    assert records.register(a_pipeline())
    for n in range(RECENT + 2):
        export = a_pipeline().begin(f"e{n}", Decimal("0.25"), NOW + timedelta(seconds=n))
        assert records.begin(export)
        ended = export.fail(f"no luck {n}", NOW + timedelta(seconds=n + 5))
        assert records.move(export, ended)

    recent = records.pipeline("reviews-parquet").recent

    assert len(recent) == RECENT
    assert recent[-1] == End.of(ended)
    assert (recent[-1].seconds, recent[-1].reason) == (5, f"no luck {RECENT + 1}")


def test_an_export_keeps_the_steps_that_it_took(records):
    assert records.register(a_pipeline())
    begun = a_pipeline().begin("e1", Decimal("0.25"), NOW)
    exporting = begun.run_job("jr_1", NOW + timedelta(seconds=5))
    again = exporting.retry().run_job("jr_2", NOW + timedelta(seconds=9))
    assert records.begin(begun)
    assert records.move(begun, exporting)
    assert records.move(exporting, again)

    kept = records.export("reviews-parquet", begun.record_key)

    assert kept == again
    assert [(step.stage, step.waiting_on, step.attempt) for step in kept.steps] == [
        (Stage.STARTING, "export-request/e1", 1),
        (Stage.EXPORTING, "glue-job-run/jr_1", 1),
        (Stage.EXPORTING, "glue-job-run/jr_2", 2),
    ]


def test_the_pipelines_are_those_of_stacks_that_are_there(records):
    gone = a_pipeline(pipeline="orders-csv", catalog_name="orders")
    assert records.register(a_pipeline())
    assert records.register(gone)
    records.unregister("orders-csv", gone.stack_id)

    assert list(records.pipelines()) == [a_pipeline()]


@pytest.fixture
def ended(records):
    """Three exports of one pipeline, begun a second apart."""
    assert records.register(a_pipeline())
    begun = [a_pipeline().begin(f"e{n}", Decimal("0.25"), NOW + timedelta(seconds=n)) for n in range(3)]
    failed = [export.fail("no luck", NOW + timedelta(minutes=1)) for export in begun]
    for before, after in zip(begun, failed, strict=True):
        assert records.begin(before)
        assert records.move(before, after)
    return failed


def test_an_export_is_found_by_its_id_and_among_its_pipelines_newest(records, ended):
    assert records.find_export("e1") == ended[1]
    assert records.find_export("e9") is None
    assert records.exports("reviews-parquet", 2) == [ended[2], ended[1]]
    assert records.exports("orders-csv", 2) == []


def test_the_exports_of_a_time_window_are_those_that_were_begun_in_it(records, ended):
    moments = [NOW + timedelta(seconds=n) for n in (1, 2)]

    assert records.begun_between("reviews-parquet", *moments) == [ended[2], ended[1]]
    assert records.begun_between("reviews-parquet", moments[1], moments[1]) == [ended[2]]


def test_exports_are_read_to_the_end_however_many_pages_they_take(records):
    """DynamoDB's pages have a megabyte."""
    assert records.register(a_pipeline())
    wordy = [a_pipeline().begin(f"e{n}", Decimal("0.25"), NOW + timedelta(seconds=n)) for n in range(5)]
    for export in wordy:
        assert records.begin(export)
        assert records.move(export, export.fail("x" * 390_000, NOW))

    assert [export.export_id for export in records.exports("reviews-parquet", 4)] == ["e4", "e3", "e2", "e1"]
    assert len(records.begun_between("reviews-parquet", NOW, NOW + timedelta(seconds=9))) == 5
