"""Every claim, in a study in which it is true by construction, and in one in which it is false."""

import pytest
import worlds

from secateur.overview import claimed as table
from secateur.reporting import claims
from secateur.reporting.results import Results


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """The rows of all claims, by id, in the world where all are true and in the one where all are false."""
    found = {}
    for name, world in (("true", worlds.TRUE), ("false", worlds.FALSE)):
        root = worlds.build(tmp_path_factory.mktemp(name), world)
        results = Results(worlds.CONFIG, root)
        rows: dict[str, list[dict]] = {}
        for row in table.rows(results):
            rows.setdefault(row["id"], []).append(row)
        assert results.read <= set(claims.files(worlds.CONFIG))
        found[name] = rows
    return found


@pytest.mark.parametrize("claim", [claim.id for claim in claims.claims()])
def test_a_claim_gets_the_right_verdict_where_it_is_true_and_where_it_is_false(judged, claim):
    for world, verdict in (("true", "supported"), ("false", "not supported")):
        for row in judged[world][claim]:
            assert row["verdict"] == verdict, (world, row.get("compared"), row["why"])
            assert row["source"] and row["seeds"] == 3


def test_the_effects_are_those_that_were_put_in(judged):
    def row(world, claim):
        return judged[world][claim][0]

    # 0.30 against 0.36 errors a word, 0.20 against 0.29, of the words that were drawn.
    assert row("true", "S3-adaptive-imp")["relative"] == pytest.approx(-100 / 6, abs=1.5)
    assert row("true", "S3-dynamic")["relative"] == pytest.approx(-31, abs=2)
    assert row("false", "S1-lm-points")["measured"] == pytest.approx(20, abs=1.5)
    assert row("true", "S1-lm-latency")["measured"] == pytest.approx(0.4, rel=0.02)
    assert row("true", "S1-lm-latency")["interval"] == "seeds, rounds and utterances"
    assert row("true", "S2-rtf")["measured"] == pytest.approx(0.3)
    assert row("true", "S1-interctc-jump")["relative"] == pytest.approx(50)
    # (60 − 25) / 40 of the way from log-mel features to the teacher, and (60 − 40) / 40.
    assert row("true", "S4-comparable")["measured"] == pytest.approx(875)
    assert row("true", "S4-fahp")["measured"] == pytest.approx(375)
    assert row("true", "S4-ste-speed")["relative"] == pytest.approx(-50)
    assert (row("true", "S4-top-layers")["measured"], row("false", "S4-top-layers")["measured"]) == (2.0, 1.0)
    # One sparse file of 300 bytes against four.
    assert row("true", "one-for-all")["measured"] == pytest.approx(0.25)
    # Each depth, and each normalised importance, is a row of its own.
    assert "2 layers, with ctc-depth2, trained alone" in row("true", "S2-as-trained-alone")["compared"]
    assert "mean over depths 2, 1" in row("true", "S2-svcca")["compared"]
