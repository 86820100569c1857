"""The transcripts of a corpus, line by line: a text to learn from, or an entry in the list of what is dropped."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from secateur.speech.corpora import Dropped
from secateur.speech.corpora.text import tags, transcript


class Transcripts:
    """Reads the lines of one language of a corpus.

    Args:
        options: the corpus' entry of the configuration: `non_speech_tags`, `unknown_tags`, and `normalise` of the
            recipes that have it.

    Attributes:
        dropped: the lines that are not used, with the reasons.
        tags: how many non-speech tags were left out, by split.
    """

    def __init__(self, language: str, options: Mapping[str, Any]):
        self.language, self.normalised = language, options.get("normalise", True)
        self.non_speech, self.unknown = options["non_speech_tags"], options["unknown_tags"]
        self.dropped: list[Dropped] = []
        self.tags: Counter[str] = Counter()

    def read(self, split: str, utterance: str, raw: str) -> str:
        """The text of a line, or nothing for one that is not used. Raises SecateurError for numbers of a language
        that cannot be spelled."""
        text, problem = transcript(raw, self.language, self.non_speech, self.unknown, self.normalised)
        if problem:
            self.dropped.append(Dropped(utterance, problem, raw, split))
        else:
            self.tags[split] += len(tags(self.non_speech).findall(raw))
        return text
