"""Deploys the stacks to AWS by CloudFormation's change sets: `python -m infra.deploy --help`."""


class CannotDeploy(Exception):
    """What stands in the way, in words that say what to do."""
