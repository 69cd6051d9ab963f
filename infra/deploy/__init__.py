"""Deploys the stacks to AWS with CloudFormation change sets: `python -m infra.deploy --help`."""


class CannotDeploy(Exception):
    """The deployment cannot continue. The message says why, and what to do."""
