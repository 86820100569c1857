"""n-gram estimates against hand-computed numbers and the laws of probability."""

import math

import pytest

from secateur.core.errors import SecateurError
from secateur.speech.ngram import Ngram

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


def test_a_file_in_arpas_format_holds_all_of_it(tmp_path):
    model = Ngram.estimate(SENTENCES, order=3)
    model.write(tmp_path / "ngram.arpa")
    found = Ngram.read(tmp_path / "ngram.arpa")
    assert (found.order, found.words, found.numbers) == (3, model.words, model.numbers)
    for context in [(), ("<s>",), ("<s>", "a"), ("b", "a", "c"), ("unseen", "b")]:
        assert found.state(context) == model.state(context)
        for word in model.words:
            assert found.log_probability(word, context) == pytest.approx(model.log_probability(word, context), rel=1e-6)
    lines = (tmp_path / "ngram.arpa").read_text().splitlines()
    assert lines[0] == "\\data\\" and lines[1] == "ngram 1=6" and lines[-1] == "\\end\\"
    assert next(line for line in lines if line.split("\t")[1:2] == ["<s>"]).startswith("-99\t<s>\t-")
    (tmp_path / "other").write_text("a b\n")
    with pytest.raises(SecateurError, match="holds no n-gram"):
        Ngram.read(tmp_path / "other")


def test_unusable_input_is_named():
    with pytest.raises(SecateurError, match="no word"):
        Ngram.estimate(["", " "], 2)
    with pytest.raises(SecateurError, match="order is 0"):
        Ngram.estimate(["a"], 0)
    with pytest.raises(SecateurError, match="</s> in 'a </s>'"):
        Ngram.estimate(["a </s>"], 2)
