"""Amazon CloudWatch and CloudWatch Logs."""
