"""Say what a folder of a trained model holds, and whether it can be used: format, sizes, token list, weights.

With --texts, the letters of transcripts are compared with the token list, in the model's alphabet.
"""

import argparse
import contextlib
import json
import logging
import sys
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.jobs import json_argument
from secateur.models import formats, types
from secateur.speech.alphabet import alphabet, lacking, written
from secateur.speech.corpora.transcripts import Transcripts
from secateur.speech.corpora.validate import LACKING_SHARE, SHOWN
from secateur.speech.datadir import read_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="as `pretrained` in a configuration names it")
    parser.add_argument(
        "--section", default="models", choices=["models", "language_models"], help="where a configuration names it"
    )
    parser.add_argument(
        "--texts", type=json_argument, default=[], help="JSON: [{file, language, options}], Kaldi `text` files"
    )


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    folder = arguments.folder
    found = formats.describe(folder, arguments.section)
    # ESPnet says on import what it does not find.
    with contextlib.redirect_stdout(sys.stderr), Noted(folder) as lines:
        loaded = formats.load(folder, arguments.section)
    numbers = sum(parameter.numel() for parameter in loaded.model.parameters())
    called = formats.format_of(folder, arguments.section).get("SHOWN")["called"]
    wanted = alphabet(found.tokens)
    told = [
        f"{folder}: {called}: {types.called(found.model['type'])}, {numbers / 1e6:.2f}M parameters, "
        f"{len(found.tokens)} tokens",
        f"text is written in {wanted['case'] or 'mixed'} case; apostrophe: {wanted['apostrophe'] or 'none'}",
        *(f"features: {json.dumps(found.features)}" for _ in [0] if found.features),
        *found.notes,
        *lines,
    ]
    by_language: dict[str, list[str]] = {}
    for text in arguments.texts:
        by_language.setdefault(text["language"], []).extend(transcripts(text))
    for language, texts in by_language.items():
        missing, kinds = lacking((written(text, wanted) for text in texts), found.tokens)
        if len(missing) > LACKING_SHARE * kinds:
            raise SecateurError(
                f"{folder}: the token list lacks {len(missing)} of the {kinds} letters of the {language} transcripts "
                f"({' '.join(missing[:SHOWN])}); take a model of this language, or other transcripts"
            )
        if missing:
            told.append(f"{language}: letters of the transcripts that it cannot write: {' '.join(missing)}")
    print("\n".join(told))
    record["found"] = told


class Noted(logging.Handler):
    """Keeps what is said of the files of a folder while they are read, such as prefixes of names that are left out."""

    def __init__(self, folder: Path) -> None:
        super().__init__(logging.WARNING)
        self.folder, self.lines = folder, list[str]()

    def __enter__(self) -> list[str]:
        logging.getLogger().addHandler(self)
        return self.lines

    def __exit__(self, *error: object) -> None:
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        if said.startswith(str(self.folder)):  # ESPnet and transformers say other things
            self.lines.append(said)


def transcripts(text: dict[str, Any]) -> list[str]:
    """The texts of a Kaldi `text` file, as the corpus' recipe reads them."""
    reader = Transcripts(text["language"], {"non_speech_tags": [], "unknown_tags": [], **text["options"]})
    return [found for key, raw in read_table(Path(text["file"])).items() if (found := reader.read("", key, raw))]
