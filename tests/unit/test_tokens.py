import pytest

from secateur.errors import SecateurError
from secateur.tokens import Tokenizer, train_characters, write_tokens

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


def test_bad_lists_are_refused(tmp_path):
    with pytest.raises(SecateurError, match="empty"):
        train_characters([])
    with pytest.raises(SecateurError, match="<blank>"):
        Tokenizer(["a", "b"])
    with pytest.raises(SecateurError, match="no such token list"):
        Tokenizer.load(tmp_path / "tokens.txt")
    with pytest.raises(SecateurError, match=r"tokens.size: 5000"):
        write_tokens(tmp_path, TEXTS, "bpe", 5000)
