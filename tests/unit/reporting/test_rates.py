import pytest

from secateur.overview.decodings import wer_view
from secateur.reporting import views
from secateur.reporting.rates import in_characters, rate

LANGUAGES = {
    "words": {"en": "word", "fr": "word"},
    "han": {"zh": "character"},
    "mixed": {"en": "word", "th": "character"},
}
TABLES = {
    "corpora": [
        {"corpus": corpus, "language": language, "unit": unit, "synthetic": "false", "split": "train"}
        for corpus, languages in LANGUAGES.items()
        for language, unit in languages.items()
    ],
    "runs": [],
}


@pytest.mark.parametrize(
    ("corpus", "language", "said"),
    [
        ("words", None, "Word error rate (%): the word error rate, WER"),
        ("han", None, "Character error rate (%): the character error rate, CER"),
        ("han", "avg", "Character error rate (%): the character error rate, CER"),
        ("mixed", "th", "Character error rate (%): the character error rate, CER"),
        ("mixed", "en", "Word error rate (%): the word error rate, WER"),
        ("mixed", None, "Word or character error rate (%): the word or character error rate, WER/CER"),
    ],
)
def test_names_of_error_rates(corpus, language, said):
    assert rate(TABLES, corpus, language)("Word error rate (%): the word error rate, WER") == said


def rows(corpus):
    axes = {axis: "" for axis in views.DECODING_INDEX} | {"corpus": corpus, "seed": "1", "sparsity_target": "0"}
    scores = {"wer": "20", "wer_low": "10", "wer_high": "30", "cer": "5", "source": ""}
    codes = LANGUAGES[corpus]
    return [axes | scores | {"language": code, "scope": "all", "unit": unit} for code, unit in codes.items()]


def test_the_rate_of_the_unit_leads_the_tables():
    titles = {
        corpus: [grid.title.partition(",")[0] for grid in wer_view(TABLES | {"wer": rows(corpus)})]
        for corpus in LANGUAGES
    }
    assert titles == {
        "words": ["Word error rate (%)", "Character error rate (%)"],
        "han": ["Character error rate (%)"],
        "mixed": ["Word or character error rate (%)", "Character error rate (%)"],
    }
    mixed = wer_view(TABLES | {"wer": rows("mixed")})[0]
    assert mixed.header[-2:] == ["en", "th (CER)"]
    assert "Counted in characters, not words: th." in mixed.caption
    assert in_characters(TABLES) == ["zh", "th"]
