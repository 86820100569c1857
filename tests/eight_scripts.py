"""Kaldi data directories in eight scripts, spoken by espeak-ng, with transcripts as users write them."""

from itertools import cycle
from pathlib import Path

import soundfile

from secateur.core.files import write_text
from secateur.speech.corpora.espeak import speak

VOICES = {"en": "en-us", "ru": "ru", "el": "el", "ar": "ar", "hi": "hi", "zh": "cmn", "th": "th", "ko": "ko"}
SIZES = {"train": 8, "dev": 2, "test": 2}

# What the file `text` says, and what is learnt and scored.
LINES = {
    "en": [
        ("Open the DOOR, please!", "open the door please"),
        ("He paid 25,000 for 3.5 acres.", "he paid twenty five thousand for three point five acres"),
        ("[noise] The 2nd co\u00adoper\u00adative", "the second cooperative"),
    ],
    "ru": [
        ("Откройте дверь, пожалуйста!", "откройте дверь пожалуйста"),
        ("Он заплатил 25\u202f000 рублей.", "он заплатил двадцать пять тысяч рублей"),
        ("\ufeffЭто стоит 0,5 рубля", "это стоит ноль целых пять десятых рубля"),
    ],
    "el": [
        ("Ο ΔΡΟΜΟΣ ΕΙΝΑΙ ΜΕΓΑΛΟΣ.", "ο δρομος ειναι μεγαλος"),
        ("Άνοιξε την πόρτα, Γιώργο!", "άνοιξε την πόρτα γιώργο"),
        ("«Καλημέρα σας»", "καλημέρα σας"),
    ],
    "ar": [
        ("افتح الباب، من فضلك!", "افتح الباب من فضلك"),
        ("دفع ١٬٠٠٠ دينار", "دفع ألف دينار"),
        ("مــرحــبا بكم", "مرحبا بكم"),
    ],
    "hi": [
        ("दरवाज़ा खोलो, कृपया।", "दरवाज़ा खोलो कृपया"),
        ("आज मौसम अच्छा है", "आज मौसम अच्छा है"),
        ("शुद्ध क्\u200dष और श्री\ufeffमान", "शुद्ध क्\u200dष और श्रीमान"),
    ],
    "zh": [
        ("请打开门。", "请打开门"),
        ("今天天气很好,我们走吧!", "今天天气很好我们走吧"),
        ("他说:“谢谢你。”", "他说谢谢你"),
    ],
    "th": [
        ("กรุณาเปิดประตู", "กรุณาเปิดประตู"),
        ("วันนี้\u200bอากาศ\u200bดี มาก", "วันนี้อากาศดีมาก"),
        ("เขามี 25 บาท", "เขามียี่สิบห้าบาท"),
    ],
    "ko": [
        ("문을 열어 주세요!", "문을 열어 주세요"),
        ("이것은 1,000원입니다.", "이것은 천원입니다"),
        ("오늘은 날씨가 좋습니다", "오늘은 날씨가 좋습니다"),
    ],
}  # fmt: skip
UNITS = {language: "character" if language in ("zh", "th") else "word" for language in LINES}


def make(root: Path) -> dict[str, dict[str, str]]:
    """Write `root/{language}/{split}` for all; returns the texts that are wanted, by utterance and language.

    Each test set also has one utterance marked `<unk>`, which is neither learnt nor scored.
    """
    wanted: dict[str, dict[str, str]] = {}
    for language, lines in LINES.items():
        wanted[language] = {}
        for split, size in SIZES.items():
            recordings, texts = {}, {}
            for number, (raw, text) in zip(range(size), cycle(lines), strict=False):
                key = f"{language}-{split}-{number}"
                recordings[key], texts[key] = (
                    _spoken(root, key, text, VOICES[language], 130 + len(wanted[language]) * 5),
                    raw,
                )
                wanted[language][key] = text
            if split == "test":
                key = f"{language}-unwritten"
                recordings[key] = _spoken(root, key, lines[0][1], VOICES[language], 300)
                texts[key] = f"<unk> {lines[0][0]}"
            tables = {"wav.scp": recordings, "text": texts, "utt2spk": dict.fromkeys(texts, f"{language}-{split}")}
            for name, table in tables.items():
                content = "".join(f"{key} {value}\n" for key, value in table.items())
                write_text(root / language / split / name, content)
    return wanted


def _spoken(root: Path, key: str, text: str, voice: str, speed: int) -> str:
    samples, rate = speak(text, voice, speed)
    path = root / "audio" / f"{key}.flac"
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)
    return str(path)
