"""Error rates of recognition by hand: in several languages, and where there are no words."""

import pytest
import torch

from secateur.core.errors import SecateurError
from secateur.ssl.tasks import Data, Item, asr
from secateur.ssl.tasks.recognize import Transcription


def items(texts):
    """Clips by (language, text), named by their places."""
    return [Item(Named(f"u{place}"), (text, language)) for place, (language, text) in enumerate(texts)]


class Named:
    def __init__(self, name):
        self.id = name


SAID = items([("en", "call me now"), ("en", "wait"), ("zh", "请再说一遍"), ("zh", "再见")])
HEARD = {"u0": "call be", "u1": "wait", "u2": "请 再 说一片", "u3": "再见"}


def test_rates_are_means_over_languages_and_without_spaces_of_characters():
    found = asr.rates(SAID, HEARD, 0)
    # Two of four words; one of seven characters, however they are spaced.
    assert found["wer"].value == pytest.approx((100 * 2 / 4 + 100 * 1 / 7) / 2)
    # `call me now` against `call be`: one other letter and four missing, of 11 + 4; then the same seven characters.
    assert found["cer"].value == pytest.approx((100 * 5 / 15 + 100 * 1 / 7) / 2)
    assert found["wer"].resampled.sizes == [2, 2]
    with pytest.raises(KeyError):
        asr.rates(SAID, {"u0": "call me now"}, 0)


def test_training_is_judged_in_characters_where_there_are_no_words():
    assert asr.word_errors(tuple("call be"), tuple("call me now")) == (2, 3)
    assert asr.word_errors(tuple("请 再说一片"), tuple("请再说一遍")) == (1, 5)


def test_languages_without_spaces_have_no_words_to_search_among():
    scores = {"test": {name: torch.zeros(3, 4) for name in HEARD}}
    heard = Transcription({"test": {}}, scores, ["a", "b"], None)
    options = {"beam": 2, "order": 2, "lm_weight": 1.0, "word_score": 0.0}
    alone = [item for item in SAID if item.target[1] == "zh"]
    assert asr.search(heard, Data({"train": alone, "test": alone}), "test", options) == {}


def test_languages_with_spaces_are_searched_among_the_words_of_their_training_text():
    pytest.importorskip("flashlight")
    sounds = torch.full((5, 6), -20.0)  # blank, <unk>, space, a, b, 请
    for frame, token in enumerate([3, 3, 2, 4, 0]):
        sounds[frame, token] = -0.1
    spaced, other = items([("en", "a b"), ("zh", "请")])
    heard = Transcription({}, {"dev": {"u0": sounds, "u1": sounds}}, [" ", "a", "b", "请"], None)
    options = {"beam": 10, "order": 2, "lm_weight": 0.1, "word_score": 0.0}
    data = Data({"train": [spaced, other], "dev": [spaced, other]})
    assert asr.search(heard, data, "dev", options) == {"u0": "a b"}


def test_without_an_utterance_nothing_is_scored():
    with pytest.raises(SecateurError, match="reference"):
        asr.rates(items([("en", "")]), {"u0": "a"}, 0)
