"""Customer managed keys, with the roles' permissions for them enforced."""

import pytest

pytestmark = pytest.mark.slow


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
