"""Whisper's tokens: byte-pair pieces, between a prompt that says what to write and the end of the text.

The prompt is `<|startoftranscript|><|en|><|transcribe|><|notimestamps|>` with the utterance's language. Models of
English alone hear neither language nor task: their token list does not name the latter.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import tokenizers

from secateur.core.errors import SecateurError

FILE = "tokenizer.json"
START, TASK, NO_TIMESTAMPS, END = "<|startoftranscript|>", "<|transcribe|>", "<|notimestamps|>", "<|endoftext|>"


class WhisperTokenizer:
    """What `secateur.speech.tokens.Tokenizer` is for token lists of this project.

    Args:
        tokens: the token list.
        file: `tokenizer.json`.
    """

    unknown = -1  # bytes spell everything

    def __init__(self, tokens: Sequence[str], file: Path):
        self.tokens = list(tokens)
        self._pieces = tokenizers.Tokenizer.from_file(str(file))
        self._ids = {token: index for index, token in enumerate(self.tokens)}

    def encode(self, text: str, language: str = "") -> list[int]:
        """Token ids of the prompt for `language`, of `text`, and of the end.

        Raises SecateurError for a language that the model does not know.
        """
        spelled = self._pieces.encode(f" {text}", add_special_tokens=False).ids
        return [*self.prompt(language), *spelled, self._ids[END]]

    def prompt(self, language: str) -> list[int]:
        """Token ids of what stands before a text."""
        if TASK not in self._ids:
            return [self._ids[START], self._ids[NO_TIMESTAMPS]]
        if f"<|{language}|>" not in self._ids:
            raise SecateurError(
                f"language {language!r}: the Whisper model does not know it; name languages by the codes that it has, "
                "such as en, in the corpus"
            )
        return [self._ids[name] for name in (START, f"<|{language}|>", TASK, NO_TIMESTAMPS)]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of token ids, without the prompt and the end, with single spaces between words."""
        return " ".join(self._pieces.decode(list(ids), skip_special_tokens=True).split())
