"""What was heard: the data of a study, where it comes from, and what was left out."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from secateur.overview.study import corpus_languages
from secateur.reporting import views
from secateur.reporting.grid import Grid, listing
from secateur.reporting.results import Results

Row = dict[str, Any]

COUNTS = (
    *("language", "split", "utterances", "hours", "unit", "words", "types", "speakers"),
    *("seen_sentences", "seen_speakers", "uncovered", "tags", "untranscribed", "dropped", "resampled", "synthetic"),
)
COUNTED = (
    "Sentences, speakers in train: utterances whose sentence, and speakers whose voice, the training split has, too. "
    "Unknown characters: utterances with a character that no model can write. Tags: marks of non-speech left out of "
    "texts. Untranscribed: utterances of speech without text, neither learnt nor scored."
)
FACTS = ("name", "description", "licence", "credits", "notes")
CORPORA_COLUMNS = ("corpus", *COUNTS, "source")
SOURCES_COLUMNS = ("corpus", "language", *FACTS, "synthetic", "source")
DROPPED_COLUMNS = ("corpus", "language", "reason", "utterances", "source")


def corpora(results: Results) -> Iterator[Row]:
    """What was heard and what was left out, per split and language: the summary of the validation before training."""
    for corpus in results.corpora:
        source = f"validation/{corpus}.tsv"
        for row in results.tsv(source, *COUNTS):
            yield {"corpus": corpus, **{column: row[column] for column in COUNTS}, "source": source}


def sources(results: Results) -> Iterator[Row]:
    """Where the speech is from, under which licence, and whom to credit."""
    for corpus, language in corpus_languages(results.config):
        source = f"data/{corpus}/{language}/source.json"
        facts = results.json(source, "name", "licence", "synthetic")
        texts = {key: _text(facts.get(key)) for key in FACTS}
        yield {"corpus": corpus, "language": language, **texts, "synthetic": facts["synthetic"], "source": source}


def dropped(results: Results) -> Iterator[Row]:
    """How many utterances of the source were left out, by reason."""
    for corpus, language in corpus_languages(results.config):
        source = f"data/{corpus}/{language}/dropped.tsv"
        reasons = Counter(row["reason"] for row in results.tsv(source, "reason"))
        for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
            yield {"corpus": corpus, "language": language, "reason": reason, "utterances": count, "source": source}


def _text(value: Any) -> str:
    """A fact of `source.json` as one line: texts as they are, lists joined, nothing for None."""
    if isinstance(value, list | tuple):
        return "; ".join(map(str, value))
    return "" if value is None else str(value)


def corpora_view(tables: views.Tables) -> list[Grid]:
    columns = {"language": "Language", "split": "Split", "speakers": "Speakers", "utterances": "Utterances"}
    columns |= {"hours": "Hours", "unit": "Unit", "words": "Units", "types": "Different ones"}
    columns |= {"seen_sentences": "Sentences in train", "seen_speakers": "Speakers in train"}
    columns |= {"uncovered": "Unknown characters", "tags": "Tags", "untranscribed": "Untranscribed"}
    columns |= {"dropped": "Dropped", "resampled": "Resampled"}
    numbers = dict.fromkeys(columns, 0) | {"hours": 2}
    del numbers["language"], numbers["split"], numbers["unit"]
    return [
        replace(
            listing(f"Speech data, {views.named(tables, corpus)}", rows, columns, numbers),
            caption=f"{views.speech(tables, corpus)} {COUNTED}",
        )
        for corpus, rows in views.by_corpus(tables["corpora"]).items()
    ]


def sources_view(tables: views.Tables) -> list[Grid]:
    columns = {"corpus": "Corpus", "language": "Language", "name": "Name", "licence": "Licence"}
    columns |= {"synthetic": "Synthetic", "credits": "Credits", "notes": "Notes"}
    return [listing("Sources and licences", tables["sources"], columns, {})]


def dropped_view(tables: views.Tables) -> list[Grid]:
    columns = {"corpus": "Corpus", "language": "Language", "reason": "Reason", "utterances": "Utterances"}
    return (
        [listing("Left out of the corpora", tables["dropped"], columns, {"utterances": 0})] if tables["dropped"] else []
    )
