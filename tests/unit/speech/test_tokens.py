import pytest

from secateur.core.errors import SecateurError
from secateur.speech.tokens import Tokenizer, check_coverage, token_files, train_characters, write_tokens

TEXTS = ["l'été à paris", "the cat sat on the mat", "señor", "the hat on the cat"]


@pytest.mark.parametrize(("kind", "size"), [("char", 0), ("bpe", 40)])
def test_text_survives_the_round_trip(tmp_path, kind, size):
    write_tokens(tmp_path, TEXTS, kind, size)
    tokenizer = Tokenizer.load(tmp_path / "tokens.txt")
    for text in TEXTS:
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.tokens[0] == "<blank>"
    assert tokenizer.tokens[-1] == "<sos/eos>"
    if kind == "bpe":
        assert len(tokenizer.tokens) == size + 3
        assert len(tokenizer.encode("the cat")) < len("the cat")


def test_character_lists_are_sorted_and_unknown_characters_become_unk():
    tokens = train_characters(["ba é"])
    assert tokens == ["<blank>", "<unk>", "<space>", "a", "b", "é", "<sos/eos>"]
    tokenizer = Tokenizer(tokens)
    assert tokenizer.encode("a x") == [3, 2, 1]
    assert tokenizer.decode([0, 3, 2, 2, 4, 6]) == "a b"


def test_from_pieces_to_characters_and_back(tmp_path):
    write_tokens(tmp_path, TEXTS, "bpe", 40)
    assert token_files(tmp_path / "tokens.txt") == [tmp_path / "tokens.txt", tmp_path / "bpe.model"]
    write_tokens(tmp_path, TEXTS, "char")
    assert token_files(tmp_path / "tokens.txt") == [tmp_path / "tokens.txt"]
    tokenizer = Tokenizer.load(tmp_path / "tokens.txt")
    assert tokenizer.unknown not in tokenizer.encode("the cat")
    write_tokens(tmp_path, TEXTS, "bpe", 40)
    assert len(Tokenizer.load(tmp_path / "tokens.txt").tokens) == 43


def test_pieces_of_another_list_are_refused(tmp_path):
    write_tokens(tmp_path / "pieces", TEXTS, "bpe", 40)
    write_tokens(tmp_path / "characters", TEXTS, "char")
    (tmp_path / "pieces/bpe.model").rename(tmp_path / "characters/bpe.model")
    with pytest.raises(SecateurError, match=r"tokens\.txt: its \d+ tokens are not those of bpe\.model beside it"):
        Tokenizer.load(tmp_path / "characters/tokens.txt")


def test_coverage_is_the_share_of_unknown_tokens():
    tokenizer = Tokenizer(train_characters(["ba é"]))
    assert check_coverage(["ab a", "b"], tokenizer, "file") == 0.0
    assert check_coverage(["ab" * 50, "x" + 99 * "a"], tokenizer, "file") == 1 / 200
    with pytest.raises(SecateurError, match=r"file: 25\.0% of the tokens are <unk>, at most 1%.*e\.g\. in 'axx'"):
        check_coverage(["abaab", "axx"], tokenizer, "file")


def test_bad_lists_are_refused(tmp_path):
    with pytest.raises(SecateurError, match="empty"):
        train_characters([])
    with pytest.raises(SecateurError, match="<blank>"):
        Tokenizer(["a", "b"])
    with pytest.raises(SecateurError, match="no such token list"):
        Tokenizer.load(tmp_path / "tokens.txt")
    with pytest.raises(SecateurError, match=r"tokens.size: 5000"):
        write_tokens(tmp_path, TEXTS, "bpe", 5000)
