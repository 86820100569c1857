import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur.core.errors import SecateurError
from secateur.speech.datadir import Utterance, read_data_dir, read_table, write_data_dir

A = Utterance("a-1", "x/a.wav", "hello world", "a", "en", 1.5)
B = Utterance("b-1", "x/with space.wav", "où ça", "b", "fr", 0.25)


def test_files_are_kaldis(tmp_path):
    write_data_dir(tmp_path / "d", [B, A])
    assert {path.name: path.read_text() for path in (tmp_path / "d").iterdir()} == {
        "wav.scp": "a-1 x/a.wav\nb-1 x/with space.wav\n",
        "text": "a-1 hello world\nb-1 où ça\n",
        "utt2spk": "a-1 a\nb-1 b\n",
        "utt2lang": "a-1 en\nb-1 fr\n",
        "utt2dur": "a-1 1.500\nb-1 0.250\n",
        "segments": "",
    }
    assert read_data_dir(tmp_path / "d") == [A, B]


def test_segments(tmp_path):
    first = Utterance("r-1", "r.wav", "one", "s", "en", 1.25, 0.5, 1.75, "r")
    second = Utterance("r-2", "r.wav", "two", "s", "en", 2.0, 2.0, 4.0, "r")
    write_data_dir(tmp_path, [first, second])
    assert (tmp_path / "wav.scp").read_text() == "r r.wav\n"
    assert (tmp_path / "segments").read_text() == "r-1 r 0.500 1.750\nr-2 r 2.000 4.000\n"
    assert read_data_dir(tmp_path) == [first, second]


def test_a_whole_recording_among_segments_gets_one_too(tmp_path):
    write_data_dir(tmp_path, [A, Utterance("r-1", "r.wav", "one", "s", "en", 1.0, 0.5, 1.5, "r")])
    assert (tmp_path / "segments").read_text() == "a-1 a-1 0.000 1.500\nr-1 r 0.500 1.500\n"
    assert [utterance.id for utterance in read_data_dir(tmp_path)] == ["a-1", "r-1"]


def test_segments_of_an_earlier_run_go(tmp_path):
    write_data_dir(tmp_path, [Utterance("r-1", "r.wav", "one", "s", "en", 1.0, 0.5, 1.5, "r")])
    write_data_dir(tmp_path, [A])
    assert read_data_dir(tmp_path) == [A]


@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1), min_size=1, unique=True))
def test_whatever_the_letters_a_directory_reads_back(tmp_path_factory, words):
    folder = tmp_path_factory.mktemp("d")
    utterances = [Utterance(word, f"{word}.wav", f"{word} {word}", word, "en", 1.0) for word in words]
    write_data_dir(folder, utterances)
    assert read_data_dir(folder) == sorted(utterances, key=lambda utterance: utterance.id)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Utterance("a-1", "y.wav", "again", "a", "en", 1.0), "'a-1' occurs twice"),
        (Utterance("a 2", "y.wav", "t", "a", "en", 1.0), "'a 2' has white space"),
        (Utterance("", "y.wav", "t", "a", "en", 1.0), "'' has white space or is empty"),
        (Utterance("a-2", "y\n.wav", "t", "a", "en", 1.0), "'a-2' has a line break"),
        (Utterance("a-2", "y.wav", "t\nb c", "a", "en", 1.0), "'a-2' has a line break"),
    ],
)
def test_bad_utterances_are_named(tmp_path, bad, message):
    with pytest.raises(SecateurError, match=message):
        write_data_dir(tmp_path, [A, bad])


def test_tables_may_have_tabs_empty_values_and_odd_spaces(tmp_path):
    (tmp_path / "text").write_text("a\thello  world \nb\n\nc  x\u2028y\n", encoding="utf-8")
    assert read_table(tmp_path / "text") == {"a": "hello  world", "b": "", "c": "x\u2028y"}


def test_bad_tables_are_named(tmp_path):
    (tmp_path / "twice").write_text("a 1\na 2\n")
    (tmp_path / "latin").write_bytes(b"a \xe9t\xe9\n")
    for name, message in (("twice", "twice:2: 'a' occurs twice"), ("latin", "not UTF-8"), ("none", "no such file")):
        with pytest.raises(SecateurError, match=message):
            read_table(tmp_path / name)


@pytest.mark.parametrize("name", ["wav.scp", "utt2spk", "utt2lang", "utt2dur"])
def test_a_missing_line_names_file_and_utterance(tmp_path, name):
    write_data_dir(tmp_path, [A, B])
    (tmp_path / name).write_text((tmp_path / name).read_text().splitlines()[1] + "\n")
    with pytest.raises(SecateurError, match=f"{name}: 'a-1' is missing"):
        read_data_dir(tmp_path)


def test_malformed_numbers_are_named(tmp_path):
    write_data_dir(tmp_path, [A])
    (tmp_path / "segments").write_text("a-1 a-1 zero 1\n")
    with pytest.raises(SecateurError, match="segments: 'a-1' has 'a-1 zero 1'"):
        read_data_dir(tmp_path)
    (tmp_path / "segments").unlink()
    (tmp_path / "utt2dur").write_text("a-1 long\n")
    with pytest.raises(SecateurError, match="utt2dur: 'a-1' has 'long'"):
        read_data_dir(tmp_path)
