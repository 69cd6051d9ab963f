"""The endpoint that every call passes."""
