"""What the section `ssl` of a study may hold."""

import pytest
from studies import DEFAULT, merged, refusal

from secateur.config.complete import complete

STUDENT = {"name": "pruned", "type": "gates", "training": "distil", "distil": [2, 4], "sparsity": 0.8}
SHALLOW = {"name": "s", "type": "layers", "training": "distil", "distil": [1], "layers": 1}
UPSTREAM = {
    "name": "one",
    "corpus": "voices",
    "encoder": {"model_type": "wavlm", "num_hidden_layers": 4},
    "pretraining": {"iterations": [{"clusters": 5, "training": "pretrain"}]},
    "students": [STUDENT],
}


def wavlm(**sizes):
    return {"encoder": UPSTREAM["encoder"] | sizes}


SSL_MISTAKES = {
    "corpus": ({"corpus": "voice"}, "ssl[0].corpus: 'voice' is not in corpora (did you mean 'voices'?)"),
    "language": ({"languages": ["de"]}, "ssl[0].languages: 'de' is not in corpora.voices.languages"),
    "split": ({"splits": {"test": "tests"}}, "ssl[0].splits.test: 'tests' is not in the splits of 'voices'"),
    "two teachers": ({"folder": "/x"}, "`folder` of a teacher, or an `encoder` to pretrain"),
    "not pretrained": ({"pretraining": None}, "ssl[0].pretraining: allowed with `encoder`: how it is pretrained"),
    "model type": ({"encoder": {"model_type": "whisper"}}, "ssl[0].encoder.model_type: 'whisper'; allowed: wavlm"),
    "frame rate": (
        wavlm(conv_stride=[5, 2, 2, 2, 2, 1, 1]),
        "ssl[0].encoder.conv_stride: frames every 80 samples; allowed: multiples of 160",
    ),
    "size": (
        wavlm(num_hidden_layer=4),
        "ssl[0].encoder.num_hidden_layer: unknown key (did you mean 'num_hidden_layers'?)",
    ),
    "no layers": (wavlm(num_hidden_layers=0), "ssl[0].encoder.num_hidden_layers: 0; allowed: ≥ 1"),
    "no list": (wavlm(conv_stride="abc"), "ssl[0].encoder.conv_stride: 'abc' is of the wrong type; allowed: array"),
    "no number": (wavlm(conv_dim=["a"]), "ssl[0].encoder.conv_dim[0]: 'a' is of the wrong type; allowed: integer"),
    "rate": (wavlm(hidden_dropout=1), "ssl[0].encoder.hidden_dropout: 1; allowed: < 1"),
    "heads": (
        wavlm(hidden_size=128, num_attention_heads=3),
        "ssl[0].encoder.num_attention_heads: 3 does not divide hidden_size = 128",
    ),
    "groups": (
        wavlm(num_conv_pos_embedding_groups=7),
        "ssl[0].encoder.num_conv_pos_embedding_groups: 7 does not divide hidden_size = 768",
    ),
    "convolutions": (
        wavlm(conv_kernel=[10, 3]),
        "ssl[0].encoder: conv_dim has 7, conv_kernel has 2, conv_stride has 7; allowed: one value a convolution",
    ),
    "more than all heads": (
        {"students": [STUDENT | {"kinds": ["heads"], "sparsity": 0.5}]},
        "ssl[0].students[0].sparsity: 0.5; allowed: up to 0.333, when all that it may remove is gone",
    ),
    "recipe": (
        {"pretraining": {"iterations": [{"clusters": 5, "training": "pretrian"}]}},
        "ssl[0].pretraining.iterations[0].training: 'pretrian' is not in training (did you mean 'pretrain'?)",
    ),
    "layer of MFCCs": (
        {"pretraining": {"iterations": [{"clusters": 5, "training": "pretrain", "layer": 1}]}},
        "ssl[0].pretraining.iterations[0]: `layer` and `again`; allowed from the second iteration on",
    ),
    "no guide": (
        {"pretraining": {"iterations": [{"clusters": 5, "training": "pretrain", "guide": "nowhere"}]}},
        "ssl[0].pretraining.iterations[0].guide: nowhere; allowed: a checkpoint of this project",
    ),
    "guide of another type": (
        {"pretraining": {"iterations": [{"clusters": 5, "training": "pretrain", "guide": "pretrained/char-lm"}]}},
        "pretrained/char-lm is of type transformer_lm; allowed: ctc, hybrid, rnnt",
    ),
    "layer of a guide": (
        {
            "pretraining": {
                "iterations": [{"clusters": 5, "training": "pretrain", "guide": "pretrained/ctc-plain", "layer": 7}]
            }
        },
        "ssl[0].pretraining.iterations[0].layer: 7; allowed: 1 to 6, those of pretrained/ctc-plain",
    ),
    "type of student": ({"students": [STUDENT | {"type": "gate"}]}, "type 'gate' is unknown (did you mean 'gates'?)"),
    "no sparsity": ({"students": [STUDENT | {"sparsity": 0}]}, "ssl[0].students[0].sparsity: 0; allowed: > 0"),
    "all sparse": ({"students": [STUDENT | {"sparsity": 1}]}, "ssl[0].students[0].sparsity: 1; allowed: < 1"),
    "no second training": (
        {"students": [STUDENT | {"second": "distill"}]},
        "ssl[0].students[0].second: 'distill' is not in training (did you mean 'distil'?)",
    ),
    "convolutions of log-mel energies": (
        wavlm(front_end="mel", conv_kernel=[10] * 7),
        "ssl[0].encoder.conv_kernel: of convolutions; allowed with `front_end: waves`",
    ),
    "channels of log-mel energies": (
        wavlm(front_end="mel") | {"students": [STUDENT | {"conv_sparsity": 0.5}]},
        "ssl[0].students[0].conv_sparsity: 0.5 of a teacher without convolutions; allowed: 0",
    ),
    "same name": ({"students": [STUDENT, STUDENT]}, "ssl[0].students[1].name: 'pruned' is taken"),
    "reserved name": (
        {"students": [STUDENT | {"name": "teacher"}]},
        "ssl[0].students[0].name: 'teacher' is the name of something else",
    ),
    "order": (
        {"students": [STUDENT | {"distil": [4, 2]}]},
        "ssl[0].students[0].distil: [4, 2]; allowed: layers in asc",
    ),
    "too deep": ({"students": [STUDENT | {"distil": [5]}]}, "ssl[0].students[0].distil: 5; allowed: 1 to 4"),
    "strategy that compares layers": (
        {"students": [SHALLOW | {"strategy": "svcca"}]},
        "ssl[0].students[0].strategy: 'svcca' is not in the strategies that compare no layers; allowed: greedy",
    ),
    "depths in another order": (
        {"students": [SHALLOW | {"depths": [2, 3]}]},
        "ssl[0].students[0].depths: [2, 3]; allowed: descending numbers, above 1, that of `layers`",
    ),
    "depth of the student": (
        {"students": [SHALLOW | {"depths": [2, 1]}]},
        "ssl[0].students[0].depths: [2, 1]; allowed: descending numbers, above 1, that of `layers`",
    ),
    "depth of the teacher": (
        {"students": [SHALLOW | {"depths": [4, 2]}]},
        "ssl[0].students[0].depths: 4; allowed: below 4, the number of the teacher's layers",
    ),
    "no depth": ({"students": [SHALLOW | {"depths": [0]}]}, "ssl[0].students[0].depths[0]: 0; allowed: ≥ 1"),
    "depths of gates": ({"students": [STUDENT | {"depths": [2]}]}, "ssl[0].students[0].depths: unknown key"),
    "kind of gate": ({"students": [STUDENT | {"kinds": ["head"]}]}, "'head' (did you mean 'heads'?)"),
    "task": ({"tasks": {"st": {}}}, "ssl[0].tasks.st: unknown key"),
    "option of a task": ({"tasks": {"ks": {"keyword": 4}}}, "ssl[0].tasks.ks.keyword: unknown key (did you mean"),
    "task without labels": (
        {"tasks": {"er": {}}},
        "ssl[0].tasks.er: the corpus has no labels of emotions; all prompts are read in one manner; allowed",
    ),
    "no root": ({"tasks": {"ks": {"source": "official", "test_root": "/x"}}}, "ssl[0].tasks.ks.root: null"),
    "language of a task": (
        {"languages": ["en"], "tasks": {"asr": {"languages": ["fr"]}}},
        "ssl[0].tasks.asr.languages: 'fr' is not in the languages of the entry",
    ),
}


@pytest.mark.parametrize(("change", "message"), SSL_MISTAKES.values(), ids=SSL_MISTAKES)
def test_a_mistake_about_self_supervised_encoders_is_one_line(change, message):
    said = refusal({"ssl": [UPSTREAM | change]})
    assert message in said and len(said.splitlines()) == 1, said


@pytest.mark.parametrize(
    ("described", "student", "message"),
    [
        ('{"model_type": "wavlm", "num_hidden_layers": 3}', {}, "ssl[0].students[0].distil: 4; allowed: 1 to 3"),
        ('{"model_type": "bark"}', {}, "has a model of type 'bark'; allowed: wavlm, hubert, wav2vec2"),
        ('{"model_type": "whisper"}', {"conv_sparsity": 0.5}, "conv_sparsity: 0.5 of Whisper, whose convolutions stay"),
        ('{"model_type": "whisper", "encoder_layers": 3}', {}, "ssl[0].students[0].distil: 4; allowed: 1 to 3"),
        ('{"model_type": "whisper", "max_source_positions": 500}', {}, "ssl[0].crop_seconds: 15.6; allowed: up to 10"),
        ("{", {}, "config.json is not JSON"),
        ("[]", {}, "config.json is not JSON: it holds no object"),
        ('{"model_type": "wavlm", "layers": [1]}', {}, "ssl[0].students[0].type: 'gates' of a teacher that is pruned"),
        ('{"model_type": "hubert"}', {"kinds": ["int"], "sparsity": 0.7}, "ssl[0].students[0].sparsity: 0.7; allowed"),
    ],
)  # fmt: skip
def test_a_teacher_that_was_given_is_looked_at(described, student, message, tmp_path):
    (tmp_path / "config.json").write_text(described)
    entry = UPSTREAM | {"folder": str(tmp_path), "encoder": None, "pretraining": None, "students": [STUDENT | student]}
    said = refusal({"ssl": [entry]})
    assert message in said and len(said.splitlines()) == 1, said


def test_tasks_take_the_languages_of_their_entry():
    tasks = {"asr": {}, "sid": {"languages": ["fr"]}}
    entry = UPSTREAM | {"languages": ["en", "fr"], "tasks": tasks}
    (found,) = complete(merged(DEFAULT, {"ssl": [entry]}))["ssl"]
    assert found["tasks"]["asr"]["languages"] == ["en", "fr"] and found["tasks"]["sid"]["languages"] == ["fr"]
    assert found["students"][0]["kinds"] == ["mha", "ffn", "qk", "vo", "int"]
    assert found["tasks"]["sid"]["training"]["batch"] == 64


def test_time_is_measured_by_one_process():
    many = {
        "training": {"distil": {"processes": 2}},
        "ssl": [UPSTREAM | {"students": [STUDENT | {"target": "latency"}]}],
    }
    assert "students[0].target: latency, which every process would measure anew" in refusal(many)


@pytest.mark.parametrize("key, given", [("depths", [2]), ("second", "distil")])
def test_one_training_after_another_is_for_one_process(key, given):
    many = {"training": {"distil": {"processes": 2}}, "ssl": [UPSTREAM | {"students": [SHALLOW | {key: given}]}]}
    said = refusal(many)
    assert said == f"ssl[0].students[0].{key}: {given}, a training after another; allowed with one process", said
