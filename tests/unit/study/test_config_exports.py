"""What the sections `export` and `streaming` of a study may hold."""

from studies import DEFAULT, ENCODER, merged, refusal

from secateur.config.complete import complete

STREAM = {"rnnt": {"type": "rnnt", "encoder": ENCODER | {"type": "emformer"}, "training": "acoustic"}}


def test_what_is_exported_has_a_ctc_head_and_is_made_by_the_study():
    def said(**entry):
        return refusal({"export": [{"model": "ctc"} | entry]})

    assert [entry["formats"] for entry in complete(DEFAULT)["export"]] == [["onnx", "int8"]]
    assert "export[0].methods: the study makes no 'movement' of 'ctc'" in said(methods=["dense", "movement"])
    assert "export[0].searches: 'beam' runs the decoder of 'hybrid', which is not exported" in said(
        model="hybrid", searches=["beam"]
    )
    assert "export[0].formats[0]: 'int4'" in said(formats=["int4"])
    given = {"models": STREAM, "dense": [{"corpus": "asterisk", "model": "rnnt"}], "export": [{"model": "rnnt"}]}
    assert "export[0].model: 'rnnt' is of type rnnt with an encoder of type emformer" in refusal(given)


def test_what_streams_is_a_transducer_with_an_emformer_and_is_made_by_the_study():
    dense = [{"corpus": "asterisk", "model": "rnnt", "searches": ["stream"]}]
    searches = {"stream": {"type": "transducer_greedy", "streaming": True}}
    given = {"models": STREAM, "dense": [*DEFAULT["dense"], *dense], "searches": searches}

    def said(*entries):
        return refusal(given | {"streaming": list(entries)})

    (entry,) = complete(merged(DEFAULT, given | {"streaming": [{"model": "rnnt"}]}))["streaming"]
    assert (entry["corpus"], entry["methods"], entry["milliseconds"]) == ("asterisk", None, 100)
    assert "streaming[0].model: 'ctc' is of type ctc with an encoder of type conformer" in said({"model": "ctc"})
    assert "streaming[0].methods: the study makes no 'imp' of 'rnnt'" in said({"model": "rnnt", "methods": ["imp"]})
    assert "streaming[1]: a second entry for model 'rnnt'" in said({"model": "rnnt"}, {"model": "rnnt"})
    assert "streaming[0].model: 'rnn' is not in models (did you mean 'rnnt'?)" in said({"model": "rnn"})
