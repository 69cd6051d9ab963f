"""What Lambda says about the last batch of an event source mapping, in AWS's words. Runs in the emulator's process.

Only a mapping of a stream has a LastProcessingResult:
https://docs.aws.amazon.com/lambda/latest/api/API_UpdateEventSourceMapping.html
"""

from ministack.services import lambda_svc

FAILED = "PROBLEM: Function call failed"
described = lambda_svc._esm_response


def describe(mapping: dict) -> dict:
    content = described(mapping)
    result = content.pop("LastProcessingResult", "")
    if ":sqs:" in content.get("EventSourceArn", ""):
        return content
    if result == "FAILED":
        result = FAILED
    elif result.startswith("OK"):  # the emulator adds the number of records
        result = "OK"
    return {**content, "LastProcessingResult": result}
