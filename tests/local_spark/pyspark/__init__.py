"""A stand-in for PySpark: as much of its interface as the Glue job uses, without a JVM. For tests only.

Tests about anything else than Spark put `tests/local_spark` on the path of the job, before PySpark's own folder.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)  # pyspark.cloudpickle is PySpark's own
