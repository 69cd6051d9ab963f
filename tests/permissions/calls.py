"""The API calls of each role, read from the code that makes them.

Nothing is executed. The search begins at a service's handler. It follows every function that is named, and the methods
of `cloud.<adapter>`, to the client operations in them. The domain makes no calls, so its methods are not followed.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import botocore.session
from botocore import xform_name

ROOT = Path(__file__).parents[2]
TRANSACTION_ITEMS = {"Put", "Update", "Delete", "ConditionCheck"}  # of TransactWriteItems

Operation = tuple[str, str]  # ("glue", "StartJobRun"): the service as botocore names it, the operation as its API does


@cache
def operations(service: str) -> dict[str, str]:
    """The methods of a botocore client: `start_job_run` to `StartJobRun`."""
    model = botocore.session.get_session().get_service_model(service)
    return {xform_name(name): name for name in model.operation_names}


@cache
def known_services() -> set[str]:
    return set(botocore.session.get_session().get_available_services())


@dataclass(frozen=True)
class Function:
    module: str
    owner: str | None  # its class
    name: str
    node: ast.AST = field(compare=False, hash=False)


@dataclass
class Module:
    name: str
    tree: ast.Module
    imports: dict[str, tuple[str, str | None]] = field(default_factory=dict)  # local name -> module, name in it

    def functions(self) -> Iterator[Function]:
        """Functions, methods, and what is assigned to a name of the module: a table may hold functions."""
        for node in self.tree.body:
            match node:
                case ast.FunctionDef(name=name):
                    yield Function(self.name, None, name, node)
                case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                    yield Function(self.name, None, name, node)
                case ast.ClassDef(name=owner, body=body):
                    methods = [inner for inner in body if isinstance(inner, ast.FunctionDef)]
                    yield from (Function(self.name, owner, inner.name, inner) for inner in methods)


@dataclass
class Code:
    """All modules below some folders, and the adapters that their `Cloud` classes build."""

    modules: dict[str, Module]
    functions: dict[tuple[str, str | None, str], Function]
    adapters: dict[str, tuple[str, str]]  # property of a Cloud -> its class
    services: dict[tuple[str, str], frozenset[str]]  # class -> the services whose clients it is given
    assuming: set[tuple[str, str | None]]  # classes that assume a role, so that their other calls are made in it

    @classmethod
    def read(cls, *folders: Path) -> "Code":
        modules = {}
        for folder in folders:
            for path in sorted(folder.rglob("*.py")):
                root = folder.parent if (folder / "__init__.py").is_file() else folder
                parts = path.relative_to(root).with_suffix("").parts
                name = ".".join(part for part in parts if part != "__init__")
                tree = ast.parse(path.read_text())
                modules[name] = Module(name, tree, dict(_imports(tree)))
        written = [found for module in modules.values() for found in module.functions()]
        functions = {(found.module, found.owner, found.name): found for found in written}
        code = cls(modules, functions, {}, {}, set())
        for found in functions.values():
            if found.owner == "Cloud":
                code._add_adapter(found)
        for found in functions.values():
            if ("sts", "AssumeRole") in code._operations_in(found):
                code.assuming.add((found.module, found.owner))
        return code

    def _add_adapter(self, built: Function) -> None:
        """`return Glue(_client("glue"), ...)`: the class, and the services that are named in its construction."""
        imports = self.modules[built.module].imports | dict(_imports(built.node))
        for node in ast.walk(built.node):
            match node:
                case ast.Return(value=ast.Call(func=ast.Name(id=local)) as construction):
                    module, name = imports.get(local, (built.module, local))
                    constants = {found.value for found in ast.walk(construction) if isinstance(found, ast.Constant)}
                    if services := frozenset(constants & known_services()):
                        self.adapters[built.name] = (module, name or local)
                        self.services[module, name or local] = services

    def calls_of(self, *entries: tuple[str, str | None, str]) -> "Calls":
        """What is called from these functions on."""
        calls, seen, waiting = Calls(), set(), [self.functions[entry] for entry in entries]
        while waiting:
            function = waiting.pop()
            if function in seen:
                continue
            seen.add(function)
            calls.add(self._operations_in(function), assumed=(function.module, function.owner) in self.assuming)
            waiting += self._named_in(function)
        return calls

    def _operations_in(self, function: Function) -> Iterator[Operation]:
        """The operations of clients that an adapter's method names, and the kinds of item in its transactions."""
        services = self.services.get((function.module, function.owner or ""), frozenset())
        for node in ast.walk(function.node) if services else ():
            for name in _client_methods(node):
                yield from ((service, operations(service)[name]) for service in services if name in operations(service))
            if "s3" in services and "NoSuchKey" in (getattr(node, "attr", None), getattr(node, "value", None)):
                yield "s3", "GetObject of what may be gone"
            if "dynamodb" in services and isinstance(node, ast.Dict):
                keys = {key.value for key in node.keys if isinstance(key, ast.Constant)}
                yield from (("dynamodb", f"TransactWriteItems.{kind}") for kind in keys & TRANSACTION_ITEMS)

    def _named_in(self, function: Function) -> Iterator[Function]:
        imports = self.modules[function.module].imports | dict(_imports(function.node))
        types = dict(_annotated(function.node))
        for node in ast.walk(function.node):
            match node:
                case ast.Name(id=name):
                    module, original = imports.get(name, (function.module, name))
                    yield from self._known(module, None, original)
                case ast.Attribute(value=ast.Name(id="self"), attr=name):
                    yield from self._known(function.module, function.owner, name)
                case ast.Attribute(value=ast.Name(id=of), attr=name) if of in types:
                    yield from self._known(*imports.get(types[of], (function.module, types[of])), name)
                case ast.Attribute(value=ast.Name(id=of), attr=name) if of in imports:
                    yield from self._known(".".join(filter(None, imports[of])), None, name)
                case ast.Attribute(value=ast.Attribute(attr=adapter), attr=name) if adapter in self.adapters:
                    yield from self._known(*self.adapters[adapter], name)

    def _known(self, module: str, owner: str | None, name: str | None) -> Iterator[Function]:
        if found := self.functions.get((module, owner, name or "")):
            yield found


@dataclass
class Calls:
    own: set[Operation] = field(default_factory=set)  # in the role of who calls
    assumed: set[Operation] = field(default_factory=set)  # in a role that it assumes

    def add(self, found: Iterable[Operation], *, assumed: bool) -> None:
        for operation in found:
            (self.assumed if assumed and operation[0] != "sts" else self.own).add(operation)


def _imports(node: ast.AST) -> Iterator[tuple[str, tuple[str, str | None]]]:
    for found in ast.walk(node):
        if isinstance(found, ast.ImportFrom) and found.module:
            yield from ((alias.asname or alias.name, (found.module, alias.name)) for alias in found.names)
        elif isinstance(found, ast.Import):
            yield from ((alias.asname or alias.name, (alias.name, None)) for alias in found.names)


def _annotated(function: ast.AST) -> Iterator[tuple[str, str]]:
    for argument in function.args.args if isinstance(function, ast.FunctionDef) else ():
        if isinstance(argument.annotation, ast.Name):
            yield argument.arg, argument.annotation.id


def _client_methods(node: ast.AST) -> Iterator[str]:
    """`client.get_item`, and `client.get_paginator("get_item")`, but for what is a method of the class itself."""
    match node:
        case ast.Attribute(value=ast.Name(id="self")):
            return
        case ast.Attribute(attr=name):
            yield name
        case ast.Call(
            func=ast.Attribute(attr="get_paginator" | "get_waiter"), args=[ast.Constant(value=str(name)), *_]
        ):
            yield name


@cache
def functions_code() -> Code:
    """The code of the Lambda functions."""
    return Code.read(ROOT / "services", ROOT / "table_exports")


def calls_of_handler(handler: str) -> Calls:
    """`start_export.handler.handle`, as a template names it."""
    module, _, name = handler.rpartition(".")
    return functions_code().calls_of((module, None, name))


def calls_of_job() -> set[Operation]:
    """All operations that are named in the code of the Glue job."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted((ROOT / "glue").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            for name in _client_methods(node):
                for service in ("s3", "dynamodb", "secretsmanager"):
                    if name in operations(service):
                        found[service].add(operations(service)[name])
    return {(service, name) for service, names in found.items() for name in names}
