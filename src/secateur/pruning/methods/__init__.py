"""The methods of unstructured pruning, one file each, and the registry that finds them by listing this folder.

To add a method, add a file here: `some_method.py` is the method `some-method`. The first line of its docstring
describes it in the schema. It has `METHOD`, a `Method`: what is run and from what, the options of its own that a
schedule may have, and a function that makes its training hook (it imports torch inside). It may have `SHOWN`, a
`Shown`: what tables and figures call it and how they draw it; a change of that trains nothing again.

What a run's `method` says (`imp`, `imp-adaptive+steep`, `pathways-lth-s700`) is parsed here and nowhere else.
"""

import ast
import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.pruning.engines.given import Given

EACH, ALL, SOME = "each", "all", "some"
"""Scopes: a model for each language; one model of all languages; one of the languages of an entry of `pathways`."""
EVERY, TARGET, ZERO, MASKS = "every", "target", "zero", "masks"
"""Levels: a run at every sparsity of the schedule; at the last; at none; at that of the masks it starts from."""
BEFORE, DENSE = "before", "dense"
"""Models to start from: the level before (a fine-tuned model before the first); the dense multilingual model."""
ONE, BY_LANGUAGE = "one", "by language"
"""Masks that a model leaves: one for all languages that it is for, or one for each."""


@dataclass(frozen=True)
class Shown:
    """What a reader sees of a method.

    Attributes:
        label: its name in figures; by default its name.
        order: its place among the methods, the least first.
        colour: index in the palette; None for grey. Pathways have the colour of the method that made their masks.
        marker, line: of its points and lines, as matplotlib names them.
        row: what tables 1 to 3 call it; without it, it has no row there.
        stage: its stage in table 1.
    """

    label: str = ""
    order: int = 1000
    colour: int | None = None
    marker: str = "o"
    line: str = "-"
    row: str = ""
    stage: str = ""


@dataclass(frozen=True)
class Method:
    """A method of unstructured pruning, or a control of one.

    Attributes:
        hook: makes the hook of training (`secateur.training.hooks.TrainingHook`) from a `Given`. It has `masks`, by
            language or under `ONE_FOR_ALL`, final when training ends; if they adapt, also the rows `log` with the
            columns `log_columns`. None for dense controls.
        scope, levels: which runs there are.
        start: what training starts from.
        ranked: the model whose weights the mask is made of; None if there is no such model.
        nested: whether the mask stays within that of `ranked`.
        masks: those that it leaves; None for none.
        adapts: whether a mask may change within a level.
        trains: whether what is left is trained; if not, the hook has a function `calibrate` instead, which takes a
            model and some batches of one utterance each, and prunes it.
        first_level: whether others begin with it: a level that removes nothing.
        all_levels: whether it is trained for as many steps as all levels of a schedule and the one before them.
        options: its own keys of a schedule: by name a JSON Schema with a description, and a default unless required.
        name, summary, shown, module: filled in by the registry.
    """

    hook: Callable[[Given], Any] | None = None
    scope: str = EACH
    levels: str = EVERY
    start: str = BEFORE
    ranked: str | None = BEFORE
    nested: bool = False
    masks: str | None = ONE
    adapts: bool = False
    trains: bool = True
    first_level: bool = False
    all_levels: bool = False
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    name: str = ""
    summary: str = ""
    shown: Shown = Shown()
    module: str = ""

    @property
    def from_masks(self) -> bool:
        """Whether it starts from the masks of another method: pathways."""
        return self.scope == SOME

    @property
    def gives_masks(self) -> bool:
        """Whether pathways may start from its masks: there is one, which stays, at every level."""
        return self.levels == EVERY and self.masks == ONE and not self.adapts

    @property
    def shared(self) -> bool:
        """Whether languages share its model, each under a mask."""
        return self.scope != EACH and self.masks is not None


@dataclass(frozen=True)
class ParsedMethod:
    """What the `method` of a run says.

    Attributes:
        masks, level: of pathways: the method whose masks they start from, and its sparsity.
        variant: of the entry of `prune`, empty for the first.
    """

    method: Method
    masks: Method | None = None
    level: float | None = None
    variant: str = ""

    @property
    def name(self) -> str:
        """The method's name as in the configuration."""
        return self.method.name

    @property
    def label(self) -> str:
        """What figures call it, without its variant."""
        if self.masks is None or self.level is None:
            return self.method.shown.label
        return f"{self.method.shown.label} {self.masks.shown.label}-{100 * self.level:g}\N{NO-BREAK SPACE}%"


@cache
def registry() -> dict[str, Method]:
    """All methods by name, in the order in which they are shown."""
    files = sorted(Path(__file__).parent.glob("[a-z]*.py"))
    found = [_loaded(file) for file in files]
    return {method.name: method for method in sorted(found, key=lambda method: (method.shown.order, method.name))}


def _loaded(file: Path) -> Method:
    name, module = file.stem.replace("_", "-"), f"{__name__}.{file.stem}"
    loaded = importlib.import_module(module)
    shown = getattr(loaded, "SHOWN", Shown())
    summary = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or name
    shown = shown if shown.label else replace(shown, label=name)
    return replace(loaded.METHOD, name=name, summary=summary.splitlines()[0], shown=shown, module=module)


def named(name: str) -> Method:
    """The method of this name. Raises SecateurError if there is none."""
    if name not in registry():
        raise SecateurError(f"pruning method {name!r} is unknown; known: {', '.join(registry())}")
    return registry()[name]


def first_level() -> Method:
    """The method that the first level of others begins with."""
    return next(method for method in registry().values() if method.first_level)


@cache
def find(text: str) -> ParsedMethod | None:
    """What the `method` of a run says; None if it is not one of these methods."""
    kind, _, variant = text.partition("+")
    if (method := registry().get(kind)) and not method.from_masks:
        return ParsedMethod(method, variant=variant)
    for method in filter(lambda method: method.from_masks, registry().values()):
        if matched := re.fullmatch(rf"{method.name}-(.+)-s(\d{{3}})", kind):
            masks = registry().get(matched[1])
            if masks and masks.gives_masks:
                return ParsedMethod(method, masks, int(matched[2]) / 1000, variant)
    return None


def parse(text: str) -> ParsedMethod:
    """What the `method` of a run says. Raises SecateurError if it is not one of these methods."""
    if (parsed := find(text)) is None:
        raise SecateurError(f"pruning method {text!r} is unknown; known: {', '.join(registry())}")
    return parsed


def pattern(*, adapts: bool | None) -> str:
    """A regular expression for the `method` of runs whose masks adapt, or stay, or (None) which leave none."""

    def fits(method: Method) -> bool:
        return method.masks is None if adapts is None else method.masks is not None and method.adapts == adapts

    masks = "|".join(name for name, method in registry().items() if method.gives_masks)
    names = [
        f"{name}-({masks})-s[0-9]+" if method.from_masks else name
        for name, method in registry().items()
        if fits(method)
    ]
    return rf"({'|'.join(names)})(\+[a-z0-9-]+)?"


def options() -> dict[str, dict[str, Any]]:
    """The keys of a schedule that methods have, by name. Raises SecateurError if two methods differ about one."""
    found: dict[str, dict[str, Any]] = {}
    for method in registry().values():
        for key, schema in method.options.items():
            if found.setdefault(key, dict(schema)) != dict(schema):
                raise SecateurError(f"{method.module}: option {key!r} is described differently by another method")
    return found


def shown_modules() -> tuple[str, ...]:
    """How methods are shown, as `secateur.core.provenance.fingerprint` takes it."""
    return tuple(f"{method.module}:SHOWN" for method in registry().values())
