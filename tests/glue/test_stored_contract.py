"""The column contract of a run and the key for its hashes: what the job says if it cannot read them."""

import hashlib
import io

import pytest
from botocore.exceptions import ClientError

from table_export_job import stored_contract
from table_export_job.arguments import JobArguments
from table_export_job.contract import dump
from table_export_job.errors import ExportFailed, PermanentError, run_error
from table_export_job.stored_contract import read_contract

CONTENT = dump({"email": {"hash": "sha256"}})
URI = f"s3://artifacts/table-exports/columns/{hashlib.sha256(CONTENT).hexdigest()}.json"
ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:hashes-a1b2c3"


class Aws:
    """S3 and Secrets Manager, which answer one call with an error."""

    def __init__(self, operation=None, code=None, message="No.", **secret):
        self._refused = operation
        self._error = ClientError({"Error": {"Code": code, "Message": message}}, operation)
        self._secret = secret or {"SecretString": "k" * 32}

    def get_object(self, Bucket, Key):
        self._refuse("GetObject")
        return {"Body": io.BytesIO(CONTENT)}

    def get_secret_value(self, SecretId):
        self._refuse("GetSecretValue")
        return self._secret

    def _refuse(self, operation):
        if operation == self._refused:
            raise self._error


@pytest.fixture
def read(arguments, monkeypatch):
    def read(aws):
        monkeypatch.setattr(stored_contract, "connect", lambda service: aws)
        return read_contract(aws, JobArguments.from_argv(arguments("Reviews", columns=URI, hash_secret=ARN)))

    return read


def test_a_contract_is_read_with_its_key(read):
    [item] = items = [{"email": {"S": "x"}}]

    read(Aws()).apply(items)

    assert len(item["email"]["S"]) == 64


@pytest.mark.parametrize("code", ["AccessDenied", "NoSuchKey", "NoSuchBucket"])
def test_a_contract_that_is_gone_is_stored_again_by_a_deployment(read, code):
    """The job's role may not list the bucket, so S3 answers AccessDenied if the object is missing."""
    with pytest.raises(PermanentError) as failed:
        read(Aws("GetObject", code))

    assert str(failed.value) == (
        f"Permanent error: The column contract {URI} cannot be read: GetObject failed with {code}: No. Run make "
        "deploy, which stores it again and lets the job's role read it. Then resume the export."
    )


@pytest.mark.parametrize(
    ("code", "message", "remedy"),
    [
        ("ResourceNotFoundException", "No.", "Check HashSecretArn"),
        ("InvalidParameterException", "No.", "Check HashSecretArn"),
        ("InvalidRequestException", "It was marked for deletion.", "restore it with aws secretsmanager restore-secret"),
        ("DecryptionFailure", "No.", "Encrypt it with the key aws/secretsmanager"),
        ("AccessDeniedException", "Access to KMS is not allowed", "Encrypt it with the key aws/secretsmanager"),
        ("AccessDeniedException", "with an explicit deny", "find what denies that: the policy of the secret"),
    ],
)
def test_a_secret_that_cannot_be_read_is_named_with_the_remedy(read, code, message, remedy):
    with pytest.raises(PermanentError) as failed:
        read(Aws("GetSecretValue", code, message))

    assert f"The secret {ARN} cannot be read: GetSecretValue failed with {code}" in str(failed.value)
    assert remedy in str(failed.value)


def test_a_binary_secret_is_named(read):
    with pytest.raises(PermanentError, match=f"The secret {ARN} has a binary value. Store the key for hashes as text"):
        read(Aws(SecretBinary=b"k" * 32))


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("GetObject", "SlowDown"),
        ("GetObject", "InternalError"),
        ("GetSecretValue", "ThrottlingException"),
        ("GetSecretValue", "InternalServiceError"),
    ],
)
def test_what_another_run_can_change_is_transient(read, operation, code):
    with pytest.raises(ClientError) as failed:
        read(Aws(operation, code))

    reason = run_error(failed.value, "Reviews")
    assert type(reason) is ExportFailed
    assert str(reason).endswith("Run the export again.")
