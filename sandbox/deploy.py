"""Deploys the common stack from build/ as on AWS: first the artifacts to S3, then the template."""

from pathlib import Path

from botocore.exceptions import ClientError, WaiterError

from sandbox.cloud import ACCOUNT, Cloud
from sandbox.emulator.ministack import CannotStart

BUILD = Path(__file__).parent.parent / "build"
STACK = "table-exports"
ARTIFACTS = f"table-exports-artifacts-{ACCOUNT}"


def deploy(cloud: Cloud, build: Path = BUILD, parameters: dict[str, str] | None = None) -> None:
    """Deploys with these parameters, if any. Raises CannotStart with the reasons of the failed resources."""
    if not (build / "version.txt").exists():
        raise CannotStart(f"{build} is missing: run make package")
    prefix = f"table-exports/{(build / 'version.txt').read_text().strip()}"
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=ARTIFACTS)
    for file in build.iterdir():
        s3.upload_file(str(file), ARTIFACTS, f"{prefix}/{file.name}")
    template = f"{cloud.endpoint}/{ARTIFACTS}/{prefix}/common.yaml"  # too long for a request
    given = {"ArtifactsBucket": ARTIFACTS, "ArtifactsPrefix": prefix, **(parameters or {})}
    create_stack(cloud, STACK, template, given)


def create_stack(cloud: Cloud, name: str, template_url: str, parameters: dict[str, str]) -> None:
    cloudformation = cloud.client("cloudformation")
    try:
        cloudformation.create_stack(
            StackName=name,
            TemplateURL=template_url,
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        waiter = cloudformation.get_waiter("stack_create_complete")
        waiter.wait(StackName=name, WaiterConfig={"Delay": 0.2, "MaxAttempts": 900})
    except WaiterError as error:
        raise CannotStart(f"Stack {name} failed:\n{reasons(cloud, name)}") from error
    except ClientError as error:
        raise CannotStart(f"Stack {name} was refused: {error}") from error


def reasons(cloud: Cloud, stack: str) -> str:
    events = cloud.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
    failed = [event for event in reversed(events) if event["ResourceStatus"].endswith("FAILED")]
    return "\n".join(
        f"  {event['LogicalResourceId']} ({event['ResourceType']}): {event.get('ResourceStatusReason', 'no reason')}"
        for event in failed
    )
