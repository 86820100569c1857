"""Texts as users have them, each of which was once damaged in silence or refused without help."""

import gzip
import unicodedata

import numpy as np
import pytest
import soundfile

from secateur.core.errors import SecateurError
from secateur.decoding.scoring import score, summary
from secateur.speech.corpora import kaldi, librispeech, mls
from secateur.speech.corpora.lm_text import read_sentences
from secateur.speech.corpora.preparation import prepare
from secateur.speech.corpora.text import normalise, transcript
from secateur.speech.tokens import Tokenizer, write_tokens
from secateur.speech.units import CHARACTER, WORD, unit_of, units, without_spaces

TAGS = {"non_speech_tags": ["<sil>", "[noise]", "!SIL"], "unknown_tags": ["<unk>"]}
LINES = {
    "a-1": "[noise] yes",
    "a-2": "<unk> open the door",
    "a-3": "open <SIL> the door !sil",
    "a-4": "he paid 1.000 of it",
    "a-5": "[door slams] hello",
    "a-6": "caf\ufffd",
    "a-7": "[noise]",
}
TEXTS = {"a-1": "yes", "a-3": "open the door"}
DROPPED = {
    "a-2": "speech without text",
    "a-4": "number that may be read in several ways",
    "a-5": "tag of unknown meaning",
    "a-6": "character lost",
    "a-7": "no transcript",
}
PARTS = {"train": ["train-clean-100"], "dev": ["dev-clean"], "test": ["test-clean"]}


def record(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(16000), 16000)
    return path


def kaldi_corpus(root):
    for split in ("train", "dev", "test"):
        folder = root / split
        keys = {key.replace("a", split): line for key, line in LINES.items()}
        path = record(folder / "a.wav")
        for name, values in (
            ("text", keys),
            ("wav.scp", dict.fromkeys(keys, path)),
            ("utt2spk", dict.fromkeys(keys, "s")),
        ):
            (folder / name).write_text("".join(f"{key} {value}\n" for key, value in values.items()), encoding="utf-8")
    return (
        kaldi,
        "en",
        {"recipe": "kaldi", "splits": {name: name for name in PARTS}, "normalise": True, "channel": None},
    )


def librispeech_corpus(root):
    for split, (part,) in PARTS.items():
        chapter = root / part / split / "1"
        for key in LINES:
            record(chapter / f"{key.replace('a', split)}.flac")
        lines = "".join(f"{key.replace('a', split)} {line}\n" for key, line in LINES.items())
        (chapter / f"{split}-1.trans.txt").write_text(lines, encoding="utf-8")
    return librispeech, "en", {"recipe": "librispeech", "url": None, "checksum": {}, **PARTS}


def mls_corpus(root):
    for split in PARTS:
        folder = root / "mls_english" / split
        for key in LINES:
            record(folder / "audio" / split / "1" / f"{split}_1_{key}.flac")
        lines = "".join(f"{split}_1_{key}\t{line}\n" for key, line in LINES.items())
        (folder / "transcripts.txt").write_text(lines, encoding="utf-8")
    return mls, "en", {"recipe": "mls", "url": None, "checksum": {}, "subset": "full"}


@pytest.mark.parametrize("make", [kaldi_corpus, librispeech_corpus, mls_corpus])
def test_tags_and_unclear_lines_in_every_recipe(make, tmp_path):
    recipe, language, options = make(tmp_path / "root")
    options |= TAGS | {"root": str(tmp_path / "root"), "exclude": []}
    recipe.fetch(options, language, tmp_path / "cache")
    prepared = prepare(options, language, tmp_path / "cache")
    assert len(prepared.splits) == 3
    for split, members in prepared.splits.items():
        assert [each.text for each in members] == list(TEXTS.values())
        found = [(entry.utterance[-1], entry.reason) for entry in prepared.dropped if entry.split == split]
        assert found == [(key[-1], reason) for key, reason in DROPPED.items()]
        assert prepared.source["non_speech_tags"][split] == 3


def test_a_chapter_of_librispeech_without_or_with_a_cut_transcript_is_listed(tmp_path):
    _, _, options = librispeech_corpus(tmp_path)
    options |= TAGS | {"root": str(tmp_path), "exclude": []}
    (tmp_path / "dev-clean/dev/1/dev-1.trans.txt").write_text("dev-1 YES\n")
    record(tmp_path / "test-clean/test/2/test-2-1.flac")
    librispeech.fetch(options, "en", tmp_path / "cache")
    prepared = prepare(options, "en", tmp_path / "cache")
    missing = [(entry.split, entry.utterance) for entry in prepared.dropped if entry.reason.startswith("recording")]
    assert missing == [*(("dev", f"dev-{number}") for number in range(2, 8)), ("test-clean", "test-2-1")]


@pytest.mark.parametrize(
    ("language", "raw", "wanted"),
    [
        ("de", "Ver\u00adfahren", "verfahren"),
        ("en", "\ufeffzero\u200bwidth\u200e", "zerowidth"),
        ("en", "no\u200djoiner ❤\ufe0f", "nojoiner"),
        ("fa", "می\u200cخواهم\u200c", "می\u200cخواهم"),
        ("ml", "അവന്\u200d", "അവന്\u200d"),
        ("th", "ภาษา\u200bไทย", "ภาษาไทย"),
        ("tr", "DIŞARIDA IŞIK, İstanbul'da", "dışarıda ışık istanbul'da"),
        ("tur", "ILIK", "ılık"),
        ("az", "QIZIL", "qızıl"),
        ("en", "İstanbul", "istanbul"),
        ("el", "Ο ΟΔΥΣΣΕΥΣ. ΣΑΣ", "ο οδυσσευς σας"),
        ("de", "GROẞ", "groß"),
    ],
)
def test_invisible_characters_and_case(language, raw, wanted):
    assert normalise(raw, language) == unicodedata.normalize("NFC", wanted)


def test_transcripts_taken_as_they_are_lose_only_their_tags():
    assert transcript("[noise] It's 25,  OK", "xx", ["[noise]"], ["<unk>"], normalised=False) == ("It's 25, OK", "")
    assert transcript("<UNK> x", "xx", ["[noise]"], ["<unk>"], normalised=False)[1] == "speech without text"


def test_text_of_a_language_model(tmp_path, caplog):
    packed, marked = tmp_path / "t.txt.gz", tmp_path / "t.txt"
    packed.write_bytes(gzip.compress("\ufeffHello, World!\nand 25,000\nor 1.000\n".encode(), mtime=0))
    assert read_sentences(packed, "en") == ["hello world", "and twenty five thousand"]
    assert "1 of 4 lines left out: number that may be read in several ways" in caplog.text
    marked.write_text("<s> Hello [noise] </s>\n<unk> there\n", encoding="utf-8")
    assert read_sentences(marked, "en", ["<s>", "</s>", "[noise]"], ["<unk>"]) == ["hello"]
    marked.write_text("今天 天气很好,我们走吧\n谢谢你\n", encoding="utf-8")
    assert read_sentences(marked, "zh") == ["今天天气很好我们走吧", "谢谢你"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"1089-134-0000 HE HOPED\n1089-134-0001 STUFF IT\n",
            r"t: every line begins with an id \(1089-134-0000\).*cut -d",
        ),
        (b"\\data\\\nngram 1=3\n\n\\1-grams:\n-1.2 the\n", "t: an ARPA file"),
        (b"ok\ncaf\xe9\n", "t:2: not UTF-8 .*iconv -f LATIN1"),
        (b"\xff\xfeh\x00i\x00", "t:1: not UTF-8 .*iconv -f UTF-16"),
        (gzip.compress(b"hello " * 500, mtime=0)[:-9], "t: a damaged gzip file"),
    ],
)
def test_what_is_no_text_of_a_language_model_is_refused_with_the_remedy(tmp_path, content, message):
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(SecateurError, match=message):
        read_sentences(tmp_path / "t", "en")


def test_rare_characters_are_unknown_to_the_loss_and_an_error_in_scoring(tmp_path):
    write_tokens(tmp_path, ["abc cab"])
    tokenizer = Tokenizer.load(tmp_path / "tokens.txt")
    ids = tokenizer.encode("cañb")
    assert ids.count(tokenizer.unknown) == 1 and len(ids) == 4
    (item,) = score({"u": "cañb cab"}, {"u": f"{tokenizer.decode(ids)} cab"})
    assert item.errors == 1 and item.character_errors >= 1


def test_characters_are_the_units_of_languages_without_spaces():
    assert unit_of(["今天天气很好我们走吧", "谢谢"]) == unit_of(["วันนี้อากาศดีมาก ครับ"]) == CHARACTER
    assert unit_of(["きょうはいい天気です"]) == unit_of(["今天用 python 写程序很好玩吧对不对"]) == CHARACTER
    assert unit_of(["今天 天气 很 好", "谢谢 你"]) == WORD  # cut into words by the corpus
    assert unit_of(["오늘은 날씨가 좋습니다"]) == unit_of(["yes", "no"]) == unit_of([]) == WORD
    assert units("今天 好", CHARACTER) == ["今", "天", "好"] and units("a bc", WORD) == ["a", "bc"]
    assert without_spaces("今天 天气 用 python 写 吧") == "今天天气用 python 写吧"
    references = {"a": "今天天气", "b": "谢谢你"}
    result = summary(score(references, {"a": "今天 天汽", "b": "谢你"}))
    assert (result["unit"], result["words"], result["errors"]) == (CHARACTER, 7, 2)
    assert result["wer"] == result["cer"] == pytest.approx(100 * 2 / 7)
