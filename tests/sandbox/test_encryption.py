"""Customer managed keys, with the roles' permissions for them enforced."""

import pytest
from botocore.exceptions import ClientError
from sandbox_user import WITHOUT_SPARK, User, sandbox

from sandbox.cloud import Cloud
from sandbox.deploy import deploy

pytestmark = pytest.mark.slow

QUEUES = ("undelivered-events", "unhandled-events", "redelivered-events", "heartbeat")
RECORD = {"pipeline": {"S": "none"}, "record": {"S": "none"}}


@pytest.fixture(scope="module")
def vault(user):
    """A table that is encrypted with a key, and the key's ARN."""
    key = user.client("kms").create_key(Description="vault")["KeyMetadata"]["Arn"]
    user.make_table("Vault", [{"id": str(n), "coins": n} for n in range(20)], {"id": "S"})
    dynamodb = user.client("dynamodb")
    dynamodb.update_table(
        TableName="Vault", SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}
    )
    dynamodb.update_continuous_backups(
        TableName="Vault", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    assert dynamodb.describe_table(TableName="Vault")["Table"]["SSEDescription"]["KMSMasterKeyArn"] == key
    return key


@pytest.mark.parametrize("read_mode", ["scan", "export"])
def test_an_encrypted_table_is_exported_with_its_key_and_fails_without(user, vault, read_mode):
    names = {"CatalogName": f"vault_{read_mode}", "ReadMode": read_mode}
    locked = user.deploy_pipeline("Vault", **names, OutputFormat="json")
    user.request(locked)
    [failed] = user.ended_exports(locked, 1)

    assert failed["stage"] == "FAILED"
    assert f"kms:Decrypt on resource: {vault}" in failed["reason"]

    names["CatalogName"] += "_open"
    opened = user.deploy_pipeline("Vault", **names, OutputFormat="json", TableKmsKeyArn=vault)
    [export] = user.export(opened)

    assert (export["read_mode"], export["items"]) == (read_mode, 20)


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory, engine):
    """The user of a sandbox whose common stack has a key, and the key's ARN."""
    with sandbox(tmp_path_factory.mktemp("encrypted"), *WITHOUT_SPARK, *engine, "--no-deploy") as endpoint:
        user = User(endpoint)
        key = user.client("kms").create_key(Description="exports")["KeyMetadata"]["Arn"]
        deploy(Cloud(endpoint), parameters={"KmsKeyArn": key})
        yield user, key


def test_all_data_is_encrypted_with_the_key(encrypted):
    user, key = encrypted
    queues = [user.client("sqs").get_queue_url(QueueName=f"table-exports-{name}")["QueueUrl"] for name in QUEUES]

    table = user.client("dynamodb").describe_table(TableName="table-exports")["Table"]
    assert table["SSEDescription"]["KMSMasterKeyArn"] == key
    bucket = user.client("s3").get_bucket_encryption(Bucket="table-exports-123456789012-us-east-1")
    [rule] = bucket["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    for queue in queues:
        found = user.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["KmsMasterKeyId"])
        assert found["Attributes"] == {"KmsMasterKeyId": key}
    workgroup = user.client("athena").get_work_group(WorkGroup="table-exports")["WorkGroup"]["Configuration"]
    assert workgroup["ResultConfiguration"]["EncryptionConfiguration"] == {"EncryptionOption": "SSE_KMS", "KmsKey": key}
    name = f"table-exports-{key.rpartition('/')[2]}"
    configured = user.client("glue").get_security_configuration(Name=name)["SecurityConfiguration"]
    assert configured["EncryptionConfiguration"]["S3Encryption"] == [{"S3EncryptionMode": "SSE-KMS", "KmsKeyArn": key}]


@pytest.mark.parametrize("read_mode", ["scan", "export"])
def test_each_role_may_use_the_key_for_its_step(encrypted, read_mode):
    user, key = encrypted
    table = f"Sealed-{read_mode}"
    user.make_table(table, [{"id": str(n), "stamps": n} for n in range(20)], {"id": "S"})
    user.client("dynamodb").update_continuous_backups(
        TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    pipeline = user.deploy_pipeline(table, ReadMode=read_mode)
    job = user.client("glue").get_job(JobName=pipeline["JobName"])["Job"]
    assert job["SecurityConfiguration"] == f"table-exports-{key.rpartition('/')[2]}"

    [export] = user.export(pipeline)

    assert (export["read_mode"], export["items"]) == (read_mode, 20)
    user.invoke("reconcile_exports", {})


def test_a_role_without_the_key_reads_and_writes_nothing(encrypted):
    user, key = encrypted
    role, bucket = user.function_role("on_view_complete"), "table-exports-123456789012-us-east-1"
    dynamodb, s3 = (user.client_of_role(service, role) for service in ("dynamodb", "s3"))

    dynamodb.update_item(TableName="table-exports", Key=RECORD)
    s3.put_object(Bucket=bucket, Key="query-results/x", Body=b"x")
    with user.denied(role, "kms:Decrypt", "kms:GenerateDataKey"):
        with pytest.raises(ClientError, match=f"kms:Decrypt on resource: {key}"):
            dynamodb.update_item(TableName="table-exports", Key=RECORD)
        with pytest.raises(ClientError, match=f"kms:GenerateDataKey on resource: {key}"):
            s3.put_object(Bucket=bucket, Key="query-results/x", Body=b"x")
