"""Trino, the query engine that Athena is based on, as a client of the sandbox's endpoint."""
