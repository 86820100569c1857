"""The registry of searches: a search is one file, and its edits rerun only what uses it."""

import sys
from dataclasses import replace

import pytest

from secateur.core.errors import SecateurError
from secateur.core.provenance import fingerprint
from secateur.decoding import search as searches

SEARCHES = [
    *("beam", "ctc_greedy", "generate", "lexicon"),
    *("transducer_beam", "transducer_espnet", "transducer_greedy"),
]
NEW = """
from secateur.decoding.search import Search

def prepare(recognizer, width):
    return width

PART = "joiner"
READS = ("tokens",)
SEARCH = Search(prepare, part=PART)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of searches that holds one new file."""
    (tmp_path / "some_search.py").write_text(NEW)
    monkeypatch.setattr(searches, "SEARCHES", replace(searches.SEARCHES, folder=tmp_path))
    monkeypatch.setattr(searches, "__path__", [str(tmp_path)])
    yield tmp_path
    sys.modules.pop("secateur.decoding.search.some_search", None)
    vars(searches).pop("some_search", None)


def test_the_files_of_the_folder_are_the_searches():
    assert searches.SEARCHES.names() == SEARCHES


def test_a_new_search_is_one_file(folder):
    assert searches.SEARCHES.names() == ["some_search"]
    found = searches.named("some_search")
    assert (found.part, found.options) == ("joiner", ["width"])
    assert (searches.part("some_search"), searches.reads("some_search")) == ("joiner", ("tokens",))
    assert searches.module("some_search") == "secateur.decoding.search.some_search"


@pytest.mark.parametrize("name", ["viterbi", "__init__", None])
def test_an_unknown_search_is_named(name):
    with pytest.raises(SecateurError, match=f"search type {name!r} is unknown; it must be one of beam, ctc_greedy"):
        searches.module(name)


def test_what_decodes_depends_on_its_own_search_alone(tmp_path):
    """No search comes in by what they share: the fingerprints of a script with and without each of them differ."""
    script = tmp_path / "script.py"
    script.write_text("from secateur.decoding.recognize import decode")
    found = [fingerprint(script)] + [fingerprint(script, (searches.module(name),)) for name in SEARCHES]
    assert len(set(found)) == 1 + len(SEARCHES)


def test_the_greedy_search_of_a_model_is_complete():
    """As the configuration would fill it in: by the part that a model has, not by its type."""
    found = searches.greedy(("joiner",))
    assert (found["type"], found["max_symbols"], found["streaming"]) == ("transducer_greedy", 10, False)
    assert searches.greedy(("ctc",)) == {"type": "ctc_greedy", "batch": 16, "batch_frames": 2000}
    assert set(found) - {"type"} == set(searches.named(found["type"]).options)
    with pytest.raises(SecateurError, match="no search is greedy for a model with decoder"):
        searches.greedy(("decoder",))


def test_a_search_says_what_it_lacks(folder, monkeypatch):
    """A new search's own library and limits are declared in its file; no other code knows them."""
    declared = 'LIBRARY = ("no_such_library", "no-such", (3, 12))\nFEWER = ("width",)\n'
    (folder / "other_search.py").write_text(NEW + declared)
    assert searches.fewer("other_search") == ("width",) and searches.fewer("some_search") == ()
    monkeypatch.setattr(searches.sys, "version_info", (3, 11, 4))
    assert searches.missing("other_search").startswith("needs no-such, which is not installed; install it (pip install")
    assert not searches.unbuilt("other_search") and searches.missing("some_search") == ""
    monkeypatch.setattr(searches.sys, "version_info", (3, 12, 0))
    assert searches.missing("other_search") == (
        "needs no-such, which has no build for Python 3.12; use Python 3.10 or 3.11 (make PYTHON=python3.11)"
    )
    assert searches.unbuilt("other_search") and not searches.unbuilt("some_search")
