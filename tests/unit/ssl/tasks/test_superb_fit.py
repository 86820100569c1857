"""How heads are trained: batches of clips, classes drawn alike, crops drawn anew, checkpoints by the measure."""

from collections import Counter
from random import Random

import editdistance
import numpy as np
import pytest
import soundfile
import torch
from superb_tones import RATE, RECURRENT, Hears

from secateur.core.errors import SecateurError
from secateur.models.specaug import specaug
from secateur.speech.data import BatchPlan
from secateur.ssl.tasks import Item, asr, kenlm
from secateur.ssl.tasks.clips import Clip, Part, cropped
from secateur.ssl.tasks.fit import Balanced, Examples
from secateur.ssl.tasks.heads import Diarization, FrameCTC, Pooled
from secateur.ssl.tasks.hidden import Hidden
from secateur.ssl.tasks.recognize import Transcription
from secateur.training.optimizer import make_optimizer
from secateur.training.options import TrainingOptions


def test_classes_are_drawn_alike_whatever_their_sizes():
    classes = {f"yes{number}": "yes" for number in range(90)} | {f"no{number}": "no" for number in range(10)}
    plan = Balanced(classes, 32, seed=1)
    drawn = [name for step in range(200) for name in plan.step(step)]
    counts = Counter(classes[name] for name in drawn)
    assert abs(counts["yes"] - counts["no"]) < 5 * len(drawn) ** 0.5
    assert len(set(drawn)) == 100 and plan.step(3) == Balanced(classes, 32, seed=1).step(3) != plan.step(4)


def test_a_crop_is_a_piece_at_a_place_that_is_drawn():
    clip = Clip("a", (Part("a.wav", gain=0.5),), 3.0)
    starts = {round(cropped(clip, 1.0, Random(seed)).parts[0].start, 4) for seed in range(50)}
    assert len(starts) > 40 and min(starts) >= 0 and max(starts) <= 2.0
    piece = cropped(clip, 1.0, Random(0))
    assert piece.parts[0].end - piece.parts[0].start == pytest.approx(1.0)
    assert (piece.seconds, piece.parts[0].gain) == (1.0, 0.5) and piece.id != clip.id
    assert cropped(clip, 3.0, Random(0)) is clip


def test_crops_are_drawn_at_every_use_and_not_kept(tmp_path):
    items = []
    for name, seconds in (("long", 1.0), ("short", 0.2)):
        samples = np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)
        soundfile.write(str(tmp_path / f"{name}.wav"), samples, RATE)
        items.append(Item(Clip(name, (Part(str(tmp_path / f"{name}.wav")),), seconds), ("x",)))
    for pooled in (True, False):
        hidden = Hidden(Hears(), torch.device("cpu"))
        examples = Examples(hidden, items, lambda item, frames: {}, pooled, crop=0.4)
        plan = examples.plan(1, 2 if pooled else 400, None)
        first, again, second = (examples.load(plan(step)).tensors["hidden"] for step in (0, 0, 1))
        place = [key.startswith("long") for key in plan(0)].index(True)
        assert torch.equal(first, again)
        other = [key.startswith("long") for key in plan(1)].index(True)
        assert not torch.allclose(first[place], second[other])
        assert set(hidden._means) == {"short"} and set(hidden._frames) <= {"short"}
        assert len({*examples.batches()[0]}) == 2


def test_a_batch_holds_no_more_clips_than_it_may():
    plan = BatchPlan({f"u{number}": 1 + number % 7 for number in range(50)}, 10**6, seed=0, most=8)
    sizes = [len(batch) for batch in plan.epoch(0)]
    assert max(sizes) == 8 and sum(sizes) == 50 and len(sizes) == 7


def test_a_measured_head_answers_with_errors_in_evaluation_alone():
    torch.manual_seed(0)
    head = Pooled(2, 4, [3, 2], 5)
    head.measured = True
    hidden, labels = torch.randn(6, 2, 4), torch.tensor([[0, 1], [2, 0], [1, 1], [0, 0], [1, 0], [2, 1]])
    loss, _, weight = head.eval()(hidden, labels)
    wrong = (head.predict(hidden) != labels).any(1)
    assert loss.item() == pytest.approx(wrong.float().mean().item()) and weight == 6 and wrong.sum() > 0
    assert head.train()(hidden, labels)[0].requires_grad
    ctc = FrameCTC(2, 4, 5, {"projection": 3, "normalize": False}).eval()
    ctc.measured, ctc.judge = True, lambda heard, said: (editdistance.eval(heard, said), len(said))
    lengths, text = torch.tensor([7, 4]), torch.tensor([[2, 3, 2], [4, 0, 0]])
    frames = torch.randn(2, 2, 7, 4)
    loss, _, weight = ctc(frames, lengths, text, torch.tensor([3, 1]))
    scores, _ = ctc.scores(frames, lengths)
    heard = [
        [token for token in torch.unique_consecutive(each[:count].argmax(1)).tolist() if token]
        for each, count in zip(scores, (7, 4), strict=True)
    ]
    wrong = editdistance.eval(heard[0], [2, 3, 2]) + editdistance.eval(heard[1], [4])
    assert weight == 4 and loss.item() == pytest.approx(wrong / 4)


def test_diarization_measures_frames_under_the_better_assignment():
    head = Diarization(1, 3, 2, {"hidden": 4, "normalize": False}).eval()
    head.measured = True
    hidden, lengths = torch.randn(2, 1, 6, 3), torch.tensor([6, 4])
    speech = (head.logits(hidden) > 0).float()
    swapped = speech.flip(2)
    assert head(hidden, lengths, swapped)[0].item() == 0.0
    swapped[0, 0, 0] = 1 - swapped[0, 0, 0]  # one of twelve values of the first clip
    swapped[1, 5] = 7.0  # behind the end
    assert head(hidden, lengths, swapped)[0].item() == pytest.approx(1 / 12 / 2)


def test_specaugment_masks_frames_and_warps_time():
    torch.manual_seed(0)
    frames, lengths = torch.ones(8, 100, 60), torch.tensor([100] * 7 + [80])
    masked, _ = specaug(4, 50, 2, 0.0, time_frames=40)(frames.clone(), lengths)
    assert set(masked.unique().tolist()) == {0.0, 1.0}
    whole_rows = (masked == 0).all(2)
    assert 0 < whole_rows.sum(1).max() < 80 and whole_rows[:, :].any()
    ramp = torch.arange(100.0)[None, :, None].expand(2, 100, 3).clone()
    warped, _ = specaug(0, 0, 0, 0.0, time_warp=5)(ramp.clone(), torch.tensor([100, 100]))
    assert warped.shape == ramp.shape and 0 < (warped - ramp).abs().max() < 8
    assert specaug(0, 0, 0, 0.0) is None


def test_the_second_moments_rate_can_be_set():
    options = {"steps": 1, "learning_rate": 1.0}
    for rate, given in ((0.98, {}), (0.999, {"beta2": 0.999})):
        optimizer = make_optimizer(torch.nn.Linear(2, 2), TrainingOptions(**options, **given))
        assert optimizer.param_groups[0]["betas"] == (0.9, rate)


ARPA = """\\data\\
ngram 1=5
ngram 2=1

\\1-grams:
-1.0\t<unk>
-99\t<s>\t0
-1.0\t</s>
-2.0\tAB\t0
-0.1\tBA\t0

\\2-grams:
-0.01\t<s> AB

\\end\\
"""


def test_a_language_model_decides_where_the_sound_does_not(tmp_path):
    """`ab` and `ba` sound alike; the bigram wants `ab` first, the unigram `ba` after it."""
    pytest.importorskip("kenlm")
    pytest.importorskip("flashlight")
    (tmp_path / "lm.arpa").write_text(ARPA)
    (tmp_path / "words.lst").write_text("AB\tA B |\nBA\tB A |\nXY\tX Y |\n")
    scores = torch.full((7, 5), -20.0)  # blank, <unk>, space, a, b
    for frame, tokens in enumerate([(3, 4), (3, 4), (2,), (3, 4), (3, 4), (2,), (0,)]):
        scores[frame, list(tokens)] = -0.7
    heard = Transcription({}, {"test": {"u": scores}}, [" ", "a", "b"], None)
    search = {"beam": 50, "beam_threshold": 100.0, "lm_weight": 2.0, "word_score": 0.0}
    options = {"lm": str(tmp_path / "lm.arpa"), "lm_lexicon": str(tmp_path / "words.lst"), "lm_search": search}
    kenlm.check(options)
    assert asr.lm_search(heard, options) == {"u": "ab ba"}


def test_a_language_model_that_cannot_be_had_is_refused_before_anything_is_trained(tmp_path, monkeypatch):
    kenlm.check(RECURRENT)
    (tmp_path / "lm").write_text("")
    with pytest.raises(SecateurError, match=r"asr\.lm_lexicon: None; no such file"):
        kenlm.check({"lm": str(tmp_path / "lm"), "lm_lexicon": None})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SecateurError, match="needs KenLM, which is not installed"):
        kenlm.check({"lm": str(tmp_path / "lm"), "lm_lexicon": str(tmp_path / "lm")})
