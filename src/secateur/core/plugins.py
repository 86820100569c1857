"""Plug-ins: modules of one kind, found by listing a folder, whose declarations are read without importing them.

A plug-in says what a study may ask of it in constants at the top level of its file, written as literals:

    SCHEMA   its options: by name a JSON Schema with a description, and a default unless the option is required
    SHOWN    how readers see it: {"order": its place among the others, the least first}; kinds may know more

and what else its kind asks for. The first line of its docstring is its summary. The workflow reads all this from the
source, so that parsing loads neither torch nor numpy, whatever the module imports. SCHEMA and SHOWN are not in a
module's fingerprint (`secateur.core.provenance`): the values of options are in the command that gets them.
"""

import ast
import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from secateur.core.errors import SecateurError

LAST = 1000
"""The place of a plug-in that does not say its own."""


@dataclass(frozen=True)
class Plugin:
    """One plug-in.

    Attributes:
        name: as configurations have it.
        module: its full name.
        summary: the first line of its docstring.
        constants: the literals that it declares, by name.
        computed: names of its other constants.
    """

    name: str
    module: str
    summary: str
    constants: Mapping[str, Any] = field(default_factory=dict)
    computed: frozenset[str] = frozenset()

    def get(self, constant: str, default: Any = None) -> Any:
        """A constant, or `default` if it declares none. Raises SecateurError if it is not a literal."""
        if constant in self.computed:
            raise SecateurError(f"{self.module}: expected a literal for {constant}, got an expression; write it out")
        return self.constants.get(constant, default)

    @property
    def options(self) -> dict[str, Any]:
        """The JSON Schema of each of its options."""
        return dict(self.get("SCHEMA", {}))

    @property
    def order(self) -> int:
        """Its place among the others."""
        return self.get("SHOWN", {}).get("order", LAST)

    def load(self) -> ModuleType:
        """Import it."""
        return importlib.import_module(self.module)


@dataclass(frozen=True)
class Plugins:
    """All plug-ins of one kind.

    Attributes:
        kind: what messages call one.
        package: whose files they are. A file is named like the plug-in, with `_` for hyphens, and with one more `_` at
            the end where Python keeps the name for itself: `global_.py`.
        folder: of the package.
        hyphens: whether their names have hyphens where the files have `_`.
        mark: the constant that tells a plug-in from a module that helps some; without it, all modules are plug-ins.
    """

    kind: str
    package: str
    folder: Path
    hyphens: bool = False
    mark: str = ""

    def all(self) -> dict[str, Plugin]:
        """All of them by name, in the order in which they are shown."""
        return _found(self)

    def names(self) -> list[str]:
        """Their names, in the same order."""
        return list(self.all())

    def usual(self) -> list[str]:
        """Names of those that a study has which names none: they say so in their SHOWN, by `"default": True`."""
        return [name for name, plugin in self.all().items() if plugin.get("SHOWN", {}).get("default")]

    def named(self, name: str) -> Plugin:
        """The one of this name. Raises SecateurError if there is none."""
        if name not in self.all():
            raise SecateurError(f"{self.kind} {name!r} is unknown; it must be one of {', '.join(self.names())}")
        return self.all()[name]

    def describe(self, schema: dict[str, Any], names: dict[str, Any]) -> None:
        """Add their summaries to the description of a JSON Schema, and their names to that of a name, in place."""
        texts = "; ".join(f"`{plugin.name}`: {plugin.summary.removesuffix('.')}" for plugin in self.all().values())
        schema["description"] = f"{schema['description']} {texts}."
        names["enum"] = self.names()

    def shown_modules(self) -> tuple[str, ...]:
        """How they are shown, as `secateur.core.provenance.fingerprint` takes it."""
        return tuple(f"{plugin.module}:SHOWN" for plugin in self.all().values() if "SHOWN" in plugin.constants)


def closed(options: Mapping[str, Any], **fixed: Any) -> dict[str, Any]:
    """A JSON Schema of an object that has these options, those without a default necessarily, and no others.

    `fixed` are further properties, which come first.
    """
    needed = [name for name, option in options.items() if "default" not in option]
    required = {"required": needed} if needed else {}
    return {"type": "object", "additionalProperties": False, **required, "properties": {**fixed, **options}}


@cache
def _found(kind: Plugins) -> dict[str, Plugin]:
    files = sorted(kind.folder.glob("[a-z]*.py"))
    sources = {file: file.read_text(encoding="utf-8") for file in files}
    mark = re.compile(rf"^{kind.mark}\b", re.MULTILINE)
    found = [_read(kind, file, source) for file, source in sources.items() if mark.search(source)]
    return {plugin.name: plugin for plugin in sorted(found, key=lambda plugin: (plugin.order, plugin.name))}


def _read(kind: Plugins, file: Path, source: str) -> Plugin:
    name = file.stem.removesuffix("_")
    name = name.replace("_", "-") if kind.hyphens else name
    tree = ast.parse(source, filename=str(file))
    constants, computed = {}, set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            constant = node.targets[0].id
            try:
                constants[constant] = ast.literal_eval(node.value)
            except ValueError:
                computed.add(constant)
    summary = (ast.get_docstring(tree) or name).splitlines()[0]
    return Plugin(name, f"{kind.package}.{file.stem}", summary, constants, frozenset(computed))
