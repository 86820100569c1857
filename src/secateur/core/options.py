"""Options of a stage as a frozen dataclass that the schema of studies, the command line and the library share.

    @dataclass(frozen=True)
    class Options:
        steps: Annotated[int, {"minimum": 1}]
        \"\"\"What it is.\"\"\"
        schedule: Literal["linear", "cosine"] = "cosine"
        \"\"\"What it is.\"\"\"

An attribute is a number, a truth value, a text, one of some words, another such dataclass, or a tuple of one of these;
`float | None` may also be null. A union of dataclasses (`Soft | Hard`) is told apart by their attributes `type`, each a
`Literal` of one word. Bounds are those of JSON Schema.
Its docstring is the text of the reference. An attribute without one is no key of a study: commands set it.
"""

import ast
import inspect
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from secateur.core.errors import SecateurError
from secateur.core.jobs import json_argument

Options = TypeVar("Options")
KINDS = {bool: "boolean", int: "integer", float: "number", str: "string"}
BOUNDS: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "minimum": ("≥ {}", operator.ge),
    "exclusiveMinimum": ("> {}", operator.gt),
    "maximum": ("≤ {}", operator.le),
    "exclusiveMaximum": ("< {}", operator.lt),
    "minItems": ("{} or more", lambda items, least: len(items) >= least),
    "maxItems": ("{} at most", lambda items, most: len(items) <= most),
    "uniqueItems": ("each once", lambda items, _: len(set(items)) == len(items)),
}


@cache
def schema(kind: Any) -> dict[str, Any]:
    """The JSON Schema of the keys of a study that an options' class, or a union of some, stands for."""
    if get_origin(kind) is UnionType:
        alternatives = [{"description": (one.__doc__ or "").split("\n")[0], **schema(one)} for one in get_args(kind)]
        return {"type": "object", "required": ["type"], "oneOf": alternatives}
    texts, required, properties = _texts(kind), [], {}
    for one in fields(kind):
        if one.name not in texts:
            continue
        properties[one.name] = {
            "description": texts[one.name],
            **_of_type(get_type_hints(kind, None, None, True)[one.name]),
        }
        if "const" in properties[one.name] or one.default is one.default_factory is MISSING:
            required.append(one.name)
        elif one.default is not MISSING:
            properties[one.name]["default"] = list(one.default) if isinstance(one.default, tuple) else one.default
        else:
            properties[one.name]["default"] = {}
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def read(kind: type[Options], values: Any, where: str = "") -> Options:
    """Options from a mapping, as JSON or YAML has it. `kind` is an options' class, or a union of some.

    Raises SecateurError for a key that is unknown or missing, and for a value that is not allowed; `where` is its path.
    """
    if not isinstance(values, Mapping):
        raise SecateurError(f"{where or 'options'}: expected keys with values, got {values!r}")
    place = f"{where}." if where else ""
    if get_origin(kind) is UnionType:
        kind = _chosen(kind, values, place)
    known = {one.name: one for one in fields(kind)}  # type: ignore[arg-type]  # a dataclass
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


def _chosen(union: Any, values: Mapping[str, Any], place: str) -> Any:
    """The class of a union that `values` has the type of."""
    kinds = {word: kind for kind in get_args(union) for word in get_args(get_type_hints(kind)["type"])}
    if "type" not in values:
        raise SecateurError(f"{place}type: missing; allowed: {', '.join(kinds)}")
    if values["type"] not in kinds:
        raise SecateurError(f"{place}type: {values['type']!r}; allowed: {', '.join(kinds)}")
    return kinds[values["type"]]


def _of_type(hint: Any) -> dict[str, Any]:
    """The JSON Schema of an attribute's type."""
    hint, bounds, optional = _bare(hint)
    if get_origin(hint) is Literal:
        words = list(get_args(hint))
        return {"const": words[0]} if len(words) == 1 else {"enum": words}
    if _are_options(hint):
        return schema(hint)
    if get_origin(hint) is tuple:
        kind, bounds = "array", {"items": _of_type(get_args(hint)[0]), **bounds}
    else:
        kind = KINDS[hint]
    return {"type": [kind, "null"] if optional else kind, **bounds}


def _checked(hint: Any, value: Any, where: str) -> Any:
    """The value, with options made of a mapping. Raises SecateurError if the type does not allow it."""
    hint, bounds, optional = _bare(hint)
    if optional and value is None:
        return None
    if _are_options(hint):
        return read(hint, value, where)
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise SecateurError(f"{where}: {value!r}; allowed: {', '.join(map(str, get_args(hint)))}")
        return value
    is_list = get_origin(hint) is tuple
    wanted = (list, tuple) if is_list else (int, float) if hint is float else (hint,)
    if not isinstance(value, wanted) or (isinstance(value, bool) and hint is not bool):
        kind = "array" if is_list else KINDS[hint]
        allowed = f"{kind} or null" if optional else kind
        raise SecateurError(f"{where}: {value!r} is of the wrong type; allowed: {allowed}")
    found = value
    if is_list:
        items: Iterable[Any] = value  # type: ignore[assignment]  # as `wanted` says
        found = tuple(_checked(get_args(hint)[0], item, f"{where}[{place}]") for place, item in enumerate(items))
    for name, bound in bounds.items():
        text, holds = BOUNDS[name]
        if not holds(found, bound):
            raise SecateurError(f"{where}: {value!r}; allowed: {text.format(bound)}")
    return found


def _are_options(hint: Any) -> bool:
    """Whether a type without bounds is an options' class, or a union of some."""
    return is_dataclass(hint) or (get_origin(hint) is UnionType and all(map(is_dataclass, get_args(hint))))


def _bare(hint: Any) -> tuple[Any, Mapping[str, Any], bool]:
    """A type without `Annotated` and `| None`, its bounds, and whether it may be None."""
    hint, bounds = (hint.__origin__, hint.__metadata__[0]) if hasattr(hint, "__metadata__") else (hint, {})
    if get_origin(hint) is not UnionType or NoneType not in get_args(hint):
        return hint, bounds, False
    (inner,) = (one for one in get_args(hint) if one is not NoneType)
    return inner, bounds, True


def _texts(kind: Any) -> dict[str, str]:
    """The docstrings of a class' attributes, those of its bases included, by name."""
    texts = {}
    for one in (base for base in reversed(kind.__mro__) if "__dataclass_fields__" in vars(base)):
        (tree,) = ast.parse(inspect.cleandoc(inspect.getsource(one))).body
        assert isinstance(tree, ast.ClassDef)
        for before, node in zip(tree.body, tree.body[1:], strict=False):
            match before, node:
                case ast.AnnAssign(target=target), ast.Expr(value=ast.Constant(value=str(text))):
                    texts[ast.unparse(target)] = " ".join(text.split())
    return texts
