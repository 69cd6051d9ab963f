"""Code that only Lambda functions use: event handling, publishing and telemetry."""
