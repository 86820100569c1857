"""Listening to streaming models in turns: what is measured of real ones, and what the table says of given numbers."""

import numpy as np
import pytest
import soundfile
from small_models import EMFORMER, make_model
from tiny import TOKENS, run_script

from secateur.core.files import read_tsv
from secateur.decoding.timing import AGAIN
from secateur.models.checkpoint import save_model
from secateur.models.load import smaller
from secateur.models.surgery.heads import Head, remove_heads
from secateur.speech.datadir import Utterance, write_data_dir
from secateur.streaming.summary import summary

SECONDS = (1.0, 2.5)
SYSTEMS = ("dense", "dense, int8", "pruned", "pruned, int8")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A model, and the same without the heads of its first layer, heard on noise between silences of 0.2 s."""
    folder = tmp_path_factory.mktemp("delays")
    config = EMFORMER | {"features": 80}
    model = make_model(config)
    save_model(folder / "dense", model, config, TOKENS)
    remove_heads(model, [Head("encoder-self", 1, number) for number in (1, 2, 3)])
    save_model(folder / "pruned", model, smaller(config, model), TOKENS)
    utterances, generator = [], np.random.default_rng(0)
    for number, seconds in enumerate(SECONDS):
        file = folder / f"{number}.wav"
        samples = np.zeros(round(16000 * seconds))
        samples[3200:-3200] = generator.uniform(-0.5, 0.5, len(samples) - 6400)
        soundfile.write(file, samples, 16000, subtype="FLOAT")
        utterances.append(Utterance(f"u{number}", str(file), "a b", "s", "en", seconds))
    write_data_dir(folder / "data", utterances)
    run_script(
        *("stream_delays", "--models", folder / "dense", folder / "pruned", "--names", "dense", "pruned"),
        *("--formats", "float32", "int8"),
        *("--data", folder / "data", "--rounds", 2, "--utterances", 2, "--output", folder / "out"),
    )
    return [read_tsv(folder / "out" / f"{name}.tsv") for name in ("systems", "utterances")]


def test_every_utterance_has_its_delays_from_where_speech_begins_and_ends(measured):
    rows = measured[1]
    assert [(row["system"], row["utterance"]) for row in rows] == [
        (system, name) for system in SYSTEMS for name in ("u0", "u1")
    ]
    for row, seconds in zip(rows, SECONDS * 4, strict=True):
        assert float(row["speech_begins"]) == pytest.approx(0.2, abs=0.025)
        assert float(row["speech_ends"]) == pytest.approx(seconds - 0.2, abs=0.025)
        assert float(row["slowest_piece"]) > 0
    said = [row for row in rows if row["text"]]
    assert len(said) >= 4
    for row in said:
        assert float(row["first_s"]) > float(row["first_waited_s"])
        assert float(row["last_s"]) > float(row["last_waited_s"])


def test_memory_does_not_grow_and_lacks_the_caches_of_what_is_gone(measured):
    systems = {row["system"]: row for row in measured[0]}
    assert systems.keys() == {*SYSTEMS, AGAIN}
    for name in SYSTEMS:
        assert float(systems[name]["late_bytes"]) <= float(systems[name]["early_bytes"])
    assert float(systems["pruned"]["late_bytes"]) < float(systems["dense"]["late_bytes"])
    assert (
        float(systems["pruned"]["bytes"]) < float(systems["dense"]["bytes"]) != float(systems["dense, int8"]["bytes"])
    )
    assert float(systems["dense"]["ratio"]) == 1.0 and systems[AGAIN]["same"] == systems["dense"]["same"]
    assert float(systems[AGAIN]["ratio"]) == pytest.approx(float(systems["dense"]["same"]))


def row(utterance, first, last, text="a b"):
    waited = {"first_waited_s": first and first - 0.1, "last_waited_s": last and last - 0.1}
    facts = {"slowest_piece": 0.3 + (first or 0), "early_bytes": 500, "late_bytes": 480}
    return {"utterance": utterance, "first_s": first, "last_s": last, "text": text} | waited | facts


def test_delays_are_medians_and_differences_are_of_what_both_say_something_in():
    whole = [row("a", 1.0, 0.5), row("b", 1.2, 0.4), row("c", 2.0, 0.9), row("d", None, None, "")]
    mine = [row("a", 1.4, 0.7), row("b", 1.5, 0.5), row("c", None, None, ""), row("d", 9.0, 9.0)]
    found = summary(mine, whole, dict.fromkeys("abcd", "a b"))
    assert (found["first_s"], found["last_s"]) == (1.5, 0.7)  # of 1.4, 1.5, 9.0
    assert found["first_s_more"] == pytest.approx((0.4 + 0.3) / 2) and found["last_s_more"] == pytest.approx(0.15)
    assert found["first_s_more_low"] is None and found["first_s_more_high"] is None  # two values say nothing
    assert (found["first_waited_s"], found["silent"], found["utterances"]) == (1.4, 1, 4)
    assert found["wer"] == pytest.approx(100 * 2 / 8) and found["slowest_piece"] == pytest.approx(9.3)
    silent = summary([row("a", None, None, "")], whole[:1], {"a": "a b"})
    assert silent["first_s"] is None and silent["last_s_more"] is None and silent["wer"] == 100
