"""docs/configuration.md is what the schema says, and has every key."""

import json
from collections import Counter
from pathlib import Path

from secateur.config.reference import markdown, rows
from secateur.config.schema import SCHEMA, filled, read_yaml
from secateur.models.upstream.config import EncoderConfig

ROOT = Path(__file__).resolve().parents[3]


def test_the_reference_is_current():
    assert (ROOT / "docs" / "configuration.md").read_text() == markdown(), "run `make docs`"


def test_keys_at_every_depth_are_there_with_bounds_and_defaults():
    page = markdown()
    assert "| `features.mel_bins` | integer ≥ 10 | `80` | Mel bins per frame. |" in page
    assert "| `models.NAME` with `type: rnnt` |" in page and "| `models.NAME.predictor.dim` |" in page
    assert "| `corpora.NAME` with `recipe: kaldi` |" in page and "| `corpora.NAME.root` |" in page
    assert "| `prune[].model` |" in page and "| `ssl[].tasks.ks` |" in page


def test_every_row_has_a_meaning():
    sections = filled(SCHEMA)["properties"].items()
    assert [row[0] for name, schema in sections for row in rows(name, schema, SCHEMA.name) if not row[3]] == []


def test_what_is_required_of_all_alternatives_is_required_of_each():
    kind = {"const": "first", "description": "The first."}
    one = {"properties": {"type": kind, "deep": {"description": "How deep."}, "wide": {"description": "How wide."}}}
    found = list(rows("key", {"description": "Any.", "required": ["type", "deep"], "oneOf": [one]}, ""))
    assert found[1:] == [
        ("`key` with `type: first`", "", "", "The first."),
        ("`key.deep`", "", "*required*", "How deep."),
        ("`key.wide`", "", "", "How wide."),
    ]


def test_texts_of_an_encoder_have_its_defaults():
    keys = filled(SCHEMA)["properties"]["ssl"]["items"]["properties"]["encoder"]["properties"]
    texts = {key: schema["description"] for key, schema in keys.items() if key != "model_type"}
    config = EncoderConfig()
    assert [key for key, text in texts.items() if f"by default `{json.dumps(getattr(config, key))}`" not in text] == []


def test_a_reference_keeps_what_is_said_beside_it():
    found = list(rows("key", {"$ref": "#/$defs/rate", "default": 0.1, "description": "A rate."}, "config.schema.yaml"))
    assert found == [("`key`", "number ≥ 0, < 1", "`0.1`", "A rate.")]


def test_every_key_and_definition_is_in_one_part_of_the_schema():
    parts = [read_yaml(SCHEMA.with_name(name)) for name in read_yaml(SCHEMA)["parts"]]
    for kind in ("properties", "$defs"):
        found = Counter(name for part in parts for name in part.get(kind, {}))
        assert found and set(found.values()) == {1}, found
        assert list(filled(SCHEMA)[kind]) == list(found)
    assert all(part.keys() <= {"properties", "$defs"} for part in parts)
