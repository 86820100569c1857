"""Check that a corpus is there for one language, or download it; record where it is, versions and checksums.

By hand: fetch_corpus.py --options '{"recipe": "asterisk", "languages": ["en"]}' --language en \
         --cache data/asterisk --output data/asterisk/en/fetched.json
"""

import argparse
from pathlib import Path
from typing import Any

from secateur import corpora
from secateur.errors import SecateurError
from secateur.jobs import job, json_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--options", type=json_argument, required=True, help="the corpus' entry of the configuration")
    parser.add_argument("--language", required=True, help="ISO 639-1 code")
    parser.add_argument("--cache", type=Path, required=True, help="folder for downloads, shared by studies")
    parser.add_argument("--output", type=Path, required=True, help="the record: CACHE/LANGUAGE/fetched.json")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    expected = corpora.fetched_record(arguments.cache, arguments.language)
    if arguments.output != expected:
        raise SecateurError(f"--output {arguments.output}: the record is always {expected}; pass that")
    corpora.recipe(arguments.options["recipe"]).fetch(arguments.options, arguments.language, arguments.cache)


if __name__ == "__main__":
    job(__doc__, add_arguments, run)
