"""n-gram estimates against hand-computed numbers and the laws of probability."""

import math

import pytest

from secateur.errors import SecateurError
from secateur.ngram import Ngram

SENTENCES = ["a b", "a c a", "b a b", "c"]


def test_hand_computed_unigrams():
    model = Ngram.estimate(["a b", "a"], order=1)
    # a 2, </s> 2, b 1: five tokens of three types; four words share what is left for the unseen.
    assert math.exp(model.log_probability("a", ())) == pytest.approx((2 + 3 / 4) / 8)
    assert math.exp(model.log_probability("b", ())) == pytest.approx((1 + 3 / 4) / 8)
    assert math.exp(model.log_probability("never", ())) == pytest.approx((3 / 4) / 8)


def test_hand_computed_bigrams():
    model = Ngram.estimate(["a b", "a"], order=2)
    b, a = (1 + 3 / 4) / 8, (2 + 3 / 4) / 8
    # After a: b once, </s> once. After <s>: a twice.
    assert math.exp(model.log_probability("b", ("a",))) == pytest.approx((1 + 2 * b) / 4)
    assert math.exp(model.log_probability("a", ("a",))) == pytest.approx(2 * a / 4)
    assert math.exp(model.log_probability("a", ("<s>",))) == pytest.approx((2 + 1 * a) / 3)
    assert math.exp(model.log_probability("b", ("x", "a"))) == pytest.approx((1 + 2 * b) / 4)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("context", [(), ("<s>",), ("a",), ("<s>", "a"), ("c", "a"), ("unseen", "b"), ("b", "c", "a")])
def test_probabilities_sum_to_one(order, context):
    model = Ngram.estimate(SENTENCES, order)
    assert model.words == ["</s>", "<unk>", "a", "b", "c"]
    assert sum(math.exp(model.log_probability(word, context)) for word in model.words) == pytest.approx(1)


def test_a_context_that_was_seen_matters():
    model = Ngram.estimate(SENTENCES, order=3)
    assert model.log_probability("a", ("a", "c")) > model.log_probability("a", ("<s>", "c"))


def test_state_keeps_what_decides_the_rest():
    model = Ngram.estimate(SENTENCES, order=3)
    assert model.state(("b", "a", "c")) == ("a", "c")
    assert model.state(("c", "b")) == ("b",)
    assert model.state(("unseen",)) == ()
    for context in [("b", "a", "c"), ("c", "b"), ("unseen",)]:
        for word in model.words:
            assert model.log_probability(word, context) == model.log_probability(word, model.state(context))


def test_arpa_round_trip(tmp_path):
    model = Ngram.estimate(SENTENCES, order=3)
    model.write(tmp_path / "lm.arpa")
    again = Ngram.read(tmp_path / "lm.arpa")
    assert again.order == 3
    assert again.words == model.words
    for context in [(), ("<s>", "a"), ("a", "c"), ("c", "unseen")]:
        for word in model.words:
            expected = model.log_probability(word, context)
            assert again.log_probability(word, context) == pytest.approx(expected, abs=1e-5)


def test_arpa_file_as_others_write_it(tmp_path):
    text = (
        "\\data\\\nngram 1=3\nngram 2=1\n\n\\1-grams:\n-0.5 a -0.3\n-1 b\n-2 <unk>\n\n\\2-grams:\n-0.1 a b\n\n\\end\\\n"
    )
    (tmp_path / "lm.arpa").write_text(text)
    model = Ngram.read(tmp_path / "lm.arpa")
    assert model.log_probability("b", ("a",)) == pytest.approx(-0.1 * math.log(10))
    assert model.log_probability("a", ("a",)) == pytest.approx(-0.8 * math.log(10))
    assert model.log_probability("other", ("a",)) == pytest.approx(-2.3 * math.log(10))
    assert model.log_probability("a", ("b",)) == pytest.approx(-0.5 * math.log(10))


def test_a_context_without_a_backoff_weight_has_weight_one(tmp_path):
    text = "\\data\\\nngram 1=2\nngram 2=1\n\n\\1-grams:\n-0.5 a\n-1 b\n\n\\2-grams:\n-0.1 a b\n\n\\end\\\n"
    (tmp_path / "lm.arpa").write_text(text)
    model = Ngram.read(tmp_path / "lm.arpa")
    assert model.state(("b", "a")) == ("a",)
    assert model.log_probability("b", model.state(("b", "a"))) == pytest.approx(-0.1 * math.log(10))
    assert model.log_probability("a", ("a",)) == pytest.approx(-0.5 * math.log(10))


def test_unusable_input_is_named(tmp_path):
    with pytest.raises(SecateurError, match="no word"):
        Ngram.estimate(["", " "], 2)
    with pytest.raises(SecateurError, match="order is 0"):
        Ngram.estimate(["a"], 0)
    with pytest.raises(SecateurError, match="</s> in 'a </s>'"):
        Ngram.estimate(["a </s>"], 2)
    (tmp_path / "cut.arpa").write_text("\\data\\\nngram 1=1\n\n\\1-grams:\n-1 a\n")
    with pytest.raises(SecateurError, match="not a whole ARPA file"):
        Ngram.read(tmp_path / "cut.arpa")
    (tmp_path / "bad.arpa").write_text("\\data\\\n\n\\2-grams:\n-1 a\n\\end\\\n")
    with pytest.raises(SecateurError, match=r"bad.arpa:4: '-1 a' is no 2-gram"):
        Ngram.read(tmp_path / "bad.arpa")
