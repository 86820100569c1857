"""The registry of searches: a search is one file, and its edits rerun only what uses it."""

import sys
from dataclasses import replace

import pytest

from secateur.core.errors import SecateurError
from secateur.core.provenance import fingerprint
from secateur.decoding import search as searches

SEARCHES = ["beam", "ctc_greedy", "lexicon", "transducer_beam", "transducer_greedy"]
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
