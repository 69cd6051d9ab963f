"""Limits that no service model contains: the gateway rejects what is over them."""

import json

import pytest

from sandbox.gateway.quotas import MB

TRUST = '{"Version": "2012-10-17", "Statement": []}'


def events(detail_bytes):
    """Entries of this size: nine of nine bytes, and one with the rest."""
    small = {"Source": "sou", "DetailType": "typ", "Detail": "{ }"}
    return {"Entries": [small] * 9 + [small | {"Detail": "d" * (detail_bytes - 9 * 9 - 6)}]}


def a_policy(length):
    text = json.dumps({"Version": "2012-10-17", "Statement": []}, indent=4)
    counted = len("".join(text.split()))
    return text.replace("[", '[ "' + "s" * (length - counted - 2) + '" ')


def a_dashboard(widgets):
    return json.dumps({"widgets": [{"type": "text"}] * widgets})


LIMITS = [
    ("events", "PutEvents", events(MB), events(MB + 1), "ValidationException", "Total size of the entries"),
    ("events", "PutEvents", {"Entries": [{"Source": "s", "DetailType": "t", "Detail": "é" * (MB // 2 - 1)}]},
     {"Entries": [{"Source": "s", "DetailType": "t", "Detail": "é" * (MB // 2)}]}, "ValidationException",
     "over the limit"),
    ("lambda", "Invoke", {"FunctionName": "f", "Payload": b"p" * 6 * MB},
     {"FunctionName": "f", "Payload": b"p" * (6 * MB + 1)}, "RequestEntityTooLargeException",
     "6291457 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)"),
    ("lambda", "Invoke", {"FunctionName": "f", "InvocationType": "Event", "Payload": b"p" * MB},
     {"FunctionName": "f", "InvocationType": "Event", "Payload": b"p" * (MB + 1)}, "RequestEntityTooLargeException",
     "1048577 byte payload is too large for the Event invocation type"),
    ("lambda", "UpdateFunctionConfiguration", {"FunctionName": "f", "Environment": {"Variables": {"NA": "v" * 4094}}},
     {"FunctionName": "f", "Environment": {"Variables": {"NA": "v" * 4095}}}, "InvalidParameterValueException",
     "exceeded the 4KB limit"),
    ("iam", "PutRolePolicy", {"RoleName": "r", "PolicyName": "p", "PolicyDocument": a_policy(10240)},
     {"RoleName": "r", "PolicyName": "p", "PolicyDocument": a_policy(10241)}, "LimitExceeded", "10240"),
    ("iam", "CreateRole", {"RoleName": "r", "AssumeRolePolicyDocument": a_policy(2048)},
     {"RoleName": "r", "AssumeRolePolicyDocument": a_policy(2049)}, "LimitExceeded", "ACLSizePerRole: 2048"),
    ("cloudformation", "CreateStack", {"StackName": "s", "TemplateBody": "é" * 25600},
     {"StackName": "s", "TemplateBody": "é" * 25600 + "t"}, "ValidationError", "less than or equal to 51200"),
    ("cloudwatch", "PutDashboard", {"DashboardName": "d", "DashboardBody": a_dashboard(500)},
     {"DashboardName": "d", "DashboardBody": a_dashboard(501)}, "InvalidParameterInput", "501 widgets"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("service", "operation", "accepted", "rejected", "error", "why"),
    LIMITS,
    ids=[f"{service}-{operation}-{n}" for n, (service, operation, *_) in enumerate(LIMITS)],
)
def test_a_call_over_a_quota_is_rejected(endpoint, service, operation, accepted, rejected, error, why):
    code, message = endpoint.rejection(service, operation, accepted, rejected)

    assert code == error
    assert why in message


@pytest.mark.parametrize(("size", "returned"), [(6 * MB, True), (6 * MB + 1, False)])
def test_a_response_over_the_quota_is_an_error_of_the_function(endpoint, monkeypatch, size, returned):
    monkeypatch.setattr(endpoint, "content", b"r" * size)

    answer = endpoint.client("lambda").invoke(FunctionName="f", Payload=b"{}")

    content = answer["Payload"].read()
    if returned:
        assert len(content) == size
        assert "FunctionError" not in answer
    else:
        assert json.loads(content)["errorType"] == "Function.ResponseSizeTooLarge"
        assert answer["FunctionError"] == "Unhandled"
