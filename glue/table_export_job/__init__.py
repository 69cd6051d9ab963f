"""The modules of the Glue job. Glue puts them on the path of the driver and of all executors, by --extra-py-files."""
