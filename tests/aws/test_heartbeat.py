import boto3
import pytest
from moto import mock_aws

from table_exports.aws.heartbeat import Heartbeat


@pytest.fixture
def sqs():
    with mock_aws():
        yield boto3.client("sqs")


def test_each_beat_leaves_one_message_and_a_new_one(sqs):
    queue = sqs.create_queue(QueueName="heartbeat")["QueueUrl"]
    heartbeat = Heartbeat(sqs, queue)
    seen = []
    for _ in range(3):
        heartbeat.beat()
        left = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
        assert left == {"ApproximateNumberOfMessages": "1"}
        [message] = sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0)["Messages"]
        seen.append(message["MessageId"])

    assert len(set(seen)) == 3


def test_what_an_earlier_pass_could_not_remove_is_removed(sqs):
    queue = sqs.create_queue(QueueName="heartbeat")["QueueUrl"]
    for _ in range(3):
        sqs.send_message(QueueUrl=queue, MessageBody="old")

    Heartbeat(sqs, queue).beat()

    bodies = [message["Body"] for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]]
    assert bodies == ["alive"]
