"""Fingerprints of source code, so that a changed algorithm reruns its stage and a changed comment reruns nothing.

Snakemake never notices an edited module that a script imports. The workflow therefore puts `fingerprint(script)` into
the parameters of every rule.
"""

import ast
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path

from secateur.core.errors import SecateurError
from secateur.core.files import write_text

PACKAGE_ROOT = Path(__file__).resolve().parents[2]
SHOWN = "SHOWN"
"""A module's constant of this name says how something is shown, and counts only where it is asked for."""
SCHEMA = "SCHEMA"
"""A module's constant of this name says which options it has. It never counts: their values are in the command."""
_KEPT = 3  # to be raised when `_read` finds something else in the same file


@cache
def fingerprint(script: str | Path, extra_modules: tuple[str, ...] = ()) -> str:
    """A short hash of everything that decides what `script` computes.

    It covers the script and, transitively, the modules of this package that it imports (also inside functions), as
    syntax trees without docstrings: comments, docstrings and layout do not count. It covers the versions of the
    third-party packages that these files import. `extra_modules` names modules that are imported by name at run time
    (one corpus, one pruning method), e.g. `"secateur.speech.corpora.asterisk"`. Constants called SCHEMA do not count.
    Nor do those called SHOWN, but for those that `extra_modules` names, e.g. `"secateur.pruning.methods.imp:SHOWN"`,
    without their modules.
    """
    given = {Path(script).resolve()}
    shown = {module.partition(":")[0] for module in extra_modules if module.endswith(f":{SHOWN}")}
    for module in extra_modules:
        if ":" not in module:
            given.update(_module_files(module))
    files, packages = closure(given)
    digest = hashlib.sha256()
    for file in sorted(files):
        name = file.relative_to(PACKAGE_ROOT) if file.is_relative_to(PACKAGE_ROOT) else file.name
        digest.update(f"{name} {_parsed(file)[0]}\n".encode())
    for module in sorted(shown):
        digest.update(f"{module} {_parsed(_module_files(module)[-1])[3]}\n".encode())
    for package in sorted(packages):
        digest.update(f"{package} {_version(package)}\n".encode())
    return digest.hexdigest()[:16]


def closure(given: Iterable[Path]) -> tuple[set[Path], set[str]]:
    """The files of this package that some files import, themselves included, and the other packages that all import."""
    files, packages = set(given), set[str]()
    waiting = list(files)
    while waiting:
        _, modules, foreign, _ = _parsed(waiting.pop())
        packages |= foreign
        for module in modules:
            for file in _module_files(module):
                if file not in files:
                    files.add(file)
                    waiting.append(file)
    return files, packages


@cache
def _parsed(file: Path) -> tuple[str, frozenset[str], frozenset[str], str]:
    """Hash of the syntax tree of `file`, modules of this package that it imports, other top-level packages.

    At last, what the file says of SHOWN, which is not in the hash. Parsing all files takes seconds, so the answer is
    kept in the user's cache under a hash of the file's bytes and of Python's version, which decides how a tree reads.
    """
    source = file.read_bytes()
    kept = _cache() / f"{hashlib.sha256(f'{sys.version} {_KEPT} '.encode() + source).hexdigest()}.json"
    try:
        digest, modules, foreign, shown = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        digest, modules, foreign, shown = _read(source, file)
        with suppress(OSError):  # a home folder that cannot be written costs time only
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_text(kept, json.dumps([digest, sorted(modules), sorted(foreign), shown]))
    return digest, frozenset(modules), frozenset(foreign), shown


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "secateur" / "sources"


def _read(source: bytes, file: Path) -> tuple[str, set[str], set[str], str]:
    tree = ast.parse(source, filename=str(file))
    assigned: dict[ast.stmt, str] = {
        node: ast.unparse(node.targets[0]) for node in tree.body if isinstance(node, ast.Assign)
    }
    shown = [node for node, name in assigned.items() if name == SHOWN]
    tree.body = [node for node in tree.body if assigned.get(node) not in (SHOWN, SCHEMA)]
    modules, foreign = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise SecateurError(
                    f"{file}:{node.lineno}: a relative import, whose edits would rerun nothing; "
                    "import from `secateur` with the whole path"
                )
            names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                node.body = [line for line in node.body if not _is_text(line)] or [ast.Pass()]
            continue
        for name in names:
            if name.split(".")[0] == "secateur":
                modules.add(name)
            else:
                foreign.add(name.split(".")[0])
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return digest, modules, foreign, " ".join(map(ast.dump, shown))


def _is_text(node: ast.stmt) -> bool:
    """Whether a statement is a docstring: of a module, a class, a function, a constant or an attribute."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@cache
def _module_files(module: str) -> tuple[Path, ...]:
    """Source files that importing `module` runs: its own and those of the packages around it; none for other names."""
    parts = module.split(".")
    files = []
    for depth in range(1, len(parts) + 1):
        base = PACKAGE_ROOT.joinpath(*parts[:depth])
        file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        if file.is_file():
            files.append(file)
    return tuple(files)


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())


@cache
def _version(package: str) -> str:
    """Version of the distribution that provides `package`, without a local part: 2.13.0+cpu and 2.13.0 are the same."""
    distributions = sorted(_distributions().get(package, ()))
    return " ".join(re.sub(r"\+.*", "", metadata.version(name)) for name in distributions)
