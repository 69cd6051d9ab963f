"""AWS as it is documented, so far as the services can see it: one module per service, each behind a botocore client."""
