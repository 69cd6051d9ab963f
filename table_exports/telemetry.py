"""The one logger, tracer and metrics of a service, named by its POWERTOOLS_* environment."""

import warnings

from aws_lambda_powertools import Logger, Metrics, Tracer

warnings.filterwarnings("ignore", "No application metrics to publish")  # an event without news is no fault

logger = Logger()
metrics = Metrics()
tracer = Tracer(patch_modules=("botocore",))  # all that we call through; patching all it knows costs a cold start
