"""The rules of exports and pipelines. Pure functions and values: no AWS, no clock, no environment."""
