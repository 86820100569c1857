"""Options of a stage as a frozen dataclass that the schema of studies, the command line and the library share.

    @dataclass(frozen=True)
    class Options:
        steps: Annotated[int, {"minimum": 1}]
        \"\"\"What it is.\"\"\"
        schedule: Literal["linear", "cosine"] = "cosine"
        \"\"\"What it is.\"\"\"

An attribute is a number, a truth value, one of some words, or another such dataclass; `float | None` may also be null.
Bounds are those of JSON Schema.
Its docstring is the text of the reference. An attribute without one is no key of a study: commands set it.
"""

import ast
import inspect
import operator
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from secateur.core.errors import SecateurError
from secateur.core.jobs import json_argument

Options = TypeVar("Options")
KINDS = {bool: "boolean", int: "integer", float: "number"}
BOUNDS = {
    "minimum": ("≥", operator.ge),
    "exclusiveMinimum": (">", operator.gt),
    "maximum": ("≤", operator.le),
    "exclusiveMaximum": ("<", operator.lt),
}


@cache
def schema(kind: type) -> dict[str, Any]:
    """The JSON Schema of the keys of a study that an options' class stands for."""
    texts, required, properties = _texts(kind), [], {}
    for one in fields(kind):  # type: ignore[arg-type]  # a dataclass
        if one.name not in texts:
            continue
        properties[one.name] = {
            "description": texts[one.name],
            **_of_type(get_type_hints(kind, None, None, True)[one.name]),
        }
        if one.default is not MISSING:
            properties[one.name]["default"] = one.default
        elif one.default_factory is not MISSING:
            properties[one.name]["default"] = {}
        else:
            required.append(one.name)
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def read(kind: type[Options], values: Any, where: str = "") -> Options:
    """Options from a mapping, as JSON or YAML has it.

    Raises SecateurError for a key that is unknown or missing, and for a value that is not allowed; `where` is its path.
    """
    known = {one.name: one for one in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    if not isinstance(values, Mapping):
        raise SecateurError(f"{where or 'options'}: expected keys with values, got {values!r}")
    place = f"{where}." if where else ""
    for name in values:
        if name not in known:
            raise SecateurError(f"{place}{name}: unknown key; allowed: {', '.join(known)}")
    for name, one in known.items():
        if name not in values and one.default is MISSING and one.default_factory is MISSING:
            raise SecateurError(f"{place}{name}: missing; it is required")
    hints = get_type_hints(kind, None, None, True)
    return kind(**{name: _checked(hints[name], value, f"{place}{name}") for name, value in values.items()})


def argument(kind: type[Options], name: str) -> Callable[[str], Options]:
    """The argparse type of the argument `name`: options as JSON, or `@FILE` with it. Raises what `read` does."""
    return lambda text: read(kind, json_argument(text), name)


def _of_type(hint: Any) -> dict[str, Any]:
    """The JSON Schema of an attribute's type."""
    hint, bounds, optional = _bare(hint)
    if get_origin(hint) is Literal:
        return {"enum": list(get_args(hint))}
    if is_dataclass(hint):
        return schema(hint)  # type: ignore[arg-type]  # a class
    return {"type": [KINDS[hint], "null"] if optional else KINDS[hint], **bounds}


def _checked(hint: Any, value: Any, where: str) -> Any:
    """The value, with options made of a mapping. Raises SecateurError if the type does not allow it."""
    hint, bounds, optional = _bare(hint)
    if optional and value is None:
        return None
    if is_dataclass(hint):
        return read(hint, value, where)  # type: ignore[arg-type]  # a class
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise SecateurError(f"{where}: {value!r}; allowed: {', '.join(map(str, get_args(hint)))}")
        return value
    numbers = (int, float) if hint is float else (hint,)
    if not isinstance(value, numbers) or (isinstance(value, bool) and hint is not bool):
        allowed = f"{KINDS[hint]} or null" if optional else KINDS[hint]
        raise SecateurError(f"{where}: {value!r} is of the wrong type; allowed: {allowed}")
    for name, bound in bounds.items():
        sign, holds = BOUNDS[name]
        if not holds(value, bound):
            raise SecateurError(f"{where}: {value!r}; allowed: {sign} {bound}")
    return value


def _bare(hint: Any) -> tuple[Any, Mapping[str, Any], bool]:
    """A type without `Annotated` and `| None`, its bounds, and whether it may be None."""
    hint, bounds = (hint.__origin__, hint.__metadata__[0]) if hasattr(hint, "__metadata__") else (hint, {})
    if get_origin(hint) is not UnionType:
        return hint, bounds, False
    (inner,) = set(get_args(hint)) - {NoneType}
    return inner, bounds, True


def _texts(kind: type) -> dict[str, str]:
    """The docstrings of a class' attributes, by name."""
    (tree,) = ast.parse(inspect.cleandoc(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    texts = {}
    for before, node in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(before, ast.AnnAssign) and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            texts[ast.unparse(before.target)] = " ".join(str(node.value.value).split())
    return texts
