"""Check that a corpus is there for one language, or download it.

Writes CACHE/LANGUAGE/fetched.json: where the material is, versions and checksums.
By hand: secateur fetch-corpus --options '{"recipe": "asterisk", "root": null}' --language en --cache data/asterisk
"""

import argparse
from pathlib import Path
from typing import Any

from secateur.core.jobs import json_argument
from secateur.speech import corpora


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--options",
        type=json_argument,
        required=True,
        help="the corpus' entry of the configuration: what fetching reads",
    )
    parser.add_argument("--language", required=True, help="ISO 639-1 code")
    parser.add_argument("--cache", type=Path, required=True, help="folder for downloads, shared by studies")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    corpora.recipe(arguments.options["recipe"]).fetch(arguments.options, arguments.language, arguments.cache)
