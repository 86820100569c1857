from pathlib import Path

import pytest

from secateur import scripts
from secateur.core import provenance
from secateur.core.errors import SecateurError
from secateur.core.provenance import fingerprint


@pytest.fixture
def sources(tmp_path, fingerprints_of):
    """A little package `secateur` in which script.py imports a, a imports b lazily, and c is imported by nobody."""
    forget = fingerprints_of(tmp_path)
    package = tmp_path / "secateur"
    package.mkdir()
    (package / "__init__.py").write_text('"""Package."""\n')
    (package / "a.py").write_text("def f():\n    from secateur.b import g\n    return g()\n")
    (package / "b.py").write_text('"""B."""\n\n\ndef g():\n    """G."""\n    return 1\n')
    (package / "c.py").write_text("x = 1\n")
    (tmp_path / "script.py").write_text("import secateur.a\nimport numpy\n")

    def run(*modules):
        forget()
        return fingerprint(tmp_path / "script.py", modules)

    def write(name: str, text: str) -> None:
        (tmp_path / name).write_text(text)

    return run, write


def test_comments_docstrings_and_layout_do_not_count(sources):
    run, write = sources
    before = run()
    write("secateur/b.py", '"""Other words."""\n# A comment\ndef g():\n    """And here."""\n    return  1\n')
    assert run() == before
    write("secateur/b.py", "def g():\n    return 1\n")
    assert run() == before, "even where there is none"


def test_what_a_script_imports_counts_also_inside_functions(sources):
    run, write = sources
    before = run()
    write("secateur/b.py", '"""B."""\n\n\ndef g():\n    """G."""\n    return 2\n')
    assert run() != before


def test_other_modules_count_only_when_named(sources):
    run, write = sources
    before, with_c = run(), run("secateur.c")
    write("secateur/c.py", "x = 2\n")
    assert run() == before
    assert run("secateur.c") != with_c


def test_the_package_around_a_module_counts(sources):
    run, write = sources
    before = run()
    write("secateur/__init__.py", "y = 1\n")
    assert run() != before


def test_versions_of_imported_packages_count_without_their_local_part(sources, monkeypatch):
    run, _ = sources
    real = provenance.metadata.version
    before = run()

    def pretend(version):
        monkeypatch.setattr(provenance.metadata, "version", lambda name: version if name == "numpy" else real(name))

    pretend(real("numpy") + "+local")
    assert run() == before
    pretend("0.0.1")
    assert run() != before


def test_every_script_has_a_fingerprint():
    files = sorted(Path(scripts.__file__).parent.glob("*.py"))
    assert len({fingerprint(script) for script in files}) == len(files) > 5


def test_how_something_is_shown_counts_where_it_is_asked_for(sources):
    run, write = sources
    write("secateur/b.py", 'def g():\n    return 1\n\n\nSHOWN = "red"\n')
    plain, shown = run(), run("secateur.b:SHOWN")
    write("secateur/b.py", 'def g():\n    return 1\n\n\nSHOWN = "blue"\n')
    assert run() == plain
    assert run("secateur.b:SHOWN") != shown
    write("secateur/c.py", 'x = 2\nSHOWN = "red"\n')
    with_c = run("secateur.c:SHOWN")
    write("secateur/c.py", 'x = 3\nSHOWN = "red"\n')
    assert run("secateur.c:SHOWN") == with_c, "and then nothing else of its module does"


@pytest.mark.parametrize("line", ["from .b import g", "from . import b"])
def test_relative_imports_are_refused_since_their_edits_would_rerun_nothing(sources, line):
    run, write = sources
    write("secateur/a.py", f"def f():\n    {line}\n")
    with pytest.raises(SecateurError, match=r"a\.py:2: a relative import, .* import from `secateur`"):
        run()


def test_what_is_kept_in_the_cache_is_what_is_read(sources, tmp_path, monkeypatch):
    run, write = sources
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = run()
    kept = sorted((tmp_path / "cache/secateur/sources").glob("*.json"))
    assert len(kept) == 4 and run() == first
    for file in kept:
        file.write_text("{")  # cut short
    assert run() == first
    write("secateur/b.py", '"""B."""\n\n\ndef g():\n    return 2\n')
    assert run() != first
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")  # cannot be written
    write("secateur/b.py", '"""B."""\n\n\ndef g():\n    """G."""\n    return 1\n')
    assert run() == first
