"""AWS Glue's own modules, without what its package imports at first: data frames, and so the whole of PySpark."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
