"""The registry of methods: what it finds and parses, and that nothing else knows a method by name."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from literals import texts

from secateur.core.errors import SecateurError
from secateur.pruning import methods

ROOT = Path(__file__).resolve().parents[3]
NAMES = [
    *(
        "imp",
        "lth",
        "lap",
        "imp-adaptive",
        "lth-adaptive",
        "rigl",
        "movement-pruning",
        "one-shot",
        "wanda",
        "sparsegpt",
    ),
    *("random", "finetune", "longer", "pathways", "dynamic"),
]
OTHER_MEANINGS = {
    "random": ("layers/", "heads/", "ssl/"),  # strategies, importances, what is drawn
    "finetune": ("layers/", "heads/", "reporting/"),  # a command, a table
    "pathways": (  # a key, and the kind of model that comes of it
        *("pruning/checks.py", "pruning/study.py", "pruning/multilingual.py", "pruning/evidence.py"),
        *("reporting/report.py", "overview/candidates.py", "watch/parts.py"),
    ),
    "dynamic": ("overview/comparisons.py",),  # a question
}
"""Names that stand for something else as well, and where."""


def test_methods_are_the_files_of_the_folder_in_the_order_in_which_they_are_shown():
    assert list(methods.registry()) == NAMES
    files = {file.stem for file in (ROOT / "src/secateur/pruning/methods").glob("[a-z]*.py")}
    assert files == {name.replace("-", "_") for name in NAMES}
    assert all(method.summary.endswith((".", ")")) for method in methods.registry().values())
    assert methods.first_level().name == "finetune"


@pytest.mark.parametrize(
    ("text", "name", "masks", "level", "variant", "label"),
    [
        ("imp", "imp", None, None, "", "IMP"),
        ("imp-adaptive+steep-er", "imp-adaptive", None, None, "steep-er", "adaptive IMP"),
        ("one-shot", "one-shot", None, None, "", "one-shot"),
        ("longer", "longer", None, None, "", "dense, longer"),
        ("pathways-lth-s700", "pathways", "lth", 0.7, "", "pathways LTH-70\N{NO-BREAK SPACE}%"),
        ("dynamic-lap-s125+b", "dynamic", "lap", 0.125, "b", "dynamic LAP-12.5\N{NO-BREAK SPACE}%"),
    ],
)
def test_what_the_method_of_a_run_says(text, name, masks, level, variant, label):
    parsed = methods.parse(text)
    found = (parsed.name, parsed.masks and parsed.masks.name, parsed.level, parsed.variant, parsed.label)
    assert found == (name, masks, level, variant, label)


@pytest.mark.parametrize(
    "text",
    ["dense", "impp", "late-both", "heads-global-500", "pathways", "pathways-lth", "pathways-random-s700", "imp-s500"],
)
def test_other_methods_are_not_of_pruning(text):
    assert methods.find(text) is None
    with pytest.raises(SecateurError, match=rf"pruning method '{text}' is unknown; known: imp, lth, lap, imp-adaptive"):
        methods.parse(text)


def test_rules_divide_the_methods_by_the_files_that_they_leave():
    patterns = [methods.pattern(adapts=adapts) for adapts in (False, True, None)]
    runs = [*NAMES[:-2], "pathways-lap-s500", "dynamic-lth-s200", "imp+steep", "lth-adaptive+a-b"]
    found = {run: [bool(re.fullmatch(pattern, run)) for pattern in patterns].index(True) for run in runs}
    assert {run for run, rule in found.items() if rule == 1} == {
        "imp-adaptive", "lth-adaptive", "rigl", "movement-pruning", "dynamic-lth-s200", "lth-adaptive+a-b"
    }  # fmt: skip
    assert {run for run, rule in found.items() if rule == 2} == {"finetune", "longer"}
    for run in [*runs, "pathways-one-shot-s700", "pathways-imp"]:
        matches = sum(bool(re.fullmatch(pattern, run)) for pattern in patterns)
        assert matches == (methods.find(run) is not None), run


def test_two_methods_may_not_differ_about_an_option(monkeypatch):
    known = methods.registry()
    other = replace(known["imp"], options={"soft": {"type": "boolean", "default": False}}, module="other")
    monkeypatch.setattr(methods, "registry", lambda: {**known, "other": other})
    with pytest.raises(SecateurError, match="other: option 'soft' is described differently by another method"):
        methods.options()


def test_the_registry_loads_neither_torch_nor_numpy():
    code = (
        "import sys; from secateur.pruning import methods; methods.registry();"
        "print(*{'torch', 'numpy', 'matplotlib'} & sys.modules.keys())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_no_method_is_known_by_name_outside_its_file():
    source = ROOT / "src/secateur"
    own = source / "pruning/methods"
    files = [*source.rglob("*.py"), *(ROOT / "workflow").rglob("*.py"), *(ROOT / "workflow").rglob("*.smk")]
    named = re.compile(rf"({'|'.join(NAMES)})([-+|].*)?|.*\((imp|lth|lap)\|.*")
    found = set()
    for file in files:
        place = str(file.relative_to(source if file.is_relative_to(source) else ROOT))
        if place == "reporting/published.py" or place.startswith("pruning/claims/"):  # what documents say of methods
            continue
        for text in texts(file):
            matched = named.fullmatch(text)
            if not matched or place.startswith(OTHER_MEANINGS.get(text, ())):
                continue
            if not (file.parent == own and file.stem.replace("_", "-") == text):
                found.add((place, text))
    assert found == set()
