"""The checks, one module per subject, in the order of docs/unproven.md."""

from acceptance.checks import deployment, reading, catalog, events, operations, security  # noqa: F401, I001
