"""Which package may import which: those below it, imports inside functions included."""

from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from secateur.core.provenance import PACKAGE_ROOT, _module_files, _parsed

PACKAGE = PACKAGE_ROOT / "secateur"
FILES = sorted(PACKAGE.rglob("*.py"))
LOWER = {
    "core": set(),
    "statistics": {"core"},
    "speech": {"core"},
    "models": {"core", "speech"},  # formats of models from elsewhere say which front end they were trained with
    "training": {"core", "speech", "models"},
    "decoding": {"core", "statistics", "speech", "models"},
}
"""The packages of algorithms that every slice shares, and what they may import."""
SHARED = {*LOWER, "study", "reporting"}
ALL_OF_A_SLICE = (
    "study",
    "checks",
    "commands",
    "tables",
    "reading",
    "plots",
    "plots_masks",
    "looks",
    "lms",
    "multilingual",
    "evidence",
    "measured",
    "reach",
    "scales",
    "recovery",
    "verdicts",
)
"""Modules of a slice that know of configurations and reports; all its other modules are algorithms."""
SLICES = ("pruning", "layers", "exits", "heads", "compose", "exported", "streaming", "ssl")


def imports(file: Path) -> Iterator[Path]:
    for module in _parsed(file)[1]:
        yield from (found for found in _module_files(module) if found != file)


def package(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0]


@pytest.mark.parametrize("name", LOWER)
def test_shared_packages_import_those_below_them(name):
    found = {
        package(other) for file in (PACKAGE / name).rglob("*.py") for other in imports(file) if other.parent != PACKAGE
    }
    assert found <= LOWER[name] | {name}


def test_algorithms_know_nothing_of_studies_and_reports():
    for name in SLICES:
        files = [
            file
            for file in (PACKAGE / name).rglob("*.py")
            if file.parent.name not in ("reports", "claims", "__pycache__")
        ]
        for file in files:
            if file.stem in ALL_OF_A_SLICE:
                continue
            for other in imports(file):
                wrong = package(other) in ("study", "reporting", "overview") or (
                    package(other) in SLICES and other.stem in ALL_OF_A_SLICE
                )
                assert not wrong, f"{file.relative_to(PACKAGE)} imports {other.relative_to(PACKAGE)}"


def test_no_module_imports_itself_by_way_of_others():
    """Packages' own `__init__` do not count where they import nothing."""
    graph = {file: set(imports(file)) for file in FILES}
    finished: set[Path] = set()

    def visit(file: Path, above: tuple[Path, ...]) -> None:
        assert file not in above, " -> ".join(
            str(step.relative_to(PACKAGE)) for step in (*above[above.index(file) :], file)
        )
        if file not in finished:
            for other in sorted(graph[file]):
                visit(other, (*above, file))
            finished.add(file)

    for file in FILES:
        visit(file, ())


def test_no_package_imports_itself_by_way_of_others():
    """Two packages that import each other are one, in two places."""
    graph: dict[str, set[str]] = {}
    for file in FILES:
        if file.parent != PACKAGE:
            others = {package(other) for other in imports(file) if other.parent != PACKAGE}
            graph.setdefault(package(file), set()).update(others - {package(file)})
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the packages


def test_few_modules_lie_loose():
    loose = [file.name for file in PACKAGE.glob("*.py")]
    assert len(loose) <= 6, loose
