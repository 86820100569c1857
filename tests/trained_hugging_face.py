"""Small models of transformers' own classes that are trained on `letters`, as their folders in `fixtures/` have them.

    python tests/trained_hugging_face.py FOLDER [NAME …]    trains them anew, about half a minute each

The folders are what `save_pretrained` writes, in half precision.
"""

import json
import sys
from pathlib import Path
from random import Random

import torch
import transformers
from letters import RATE, sentences, spoken
from transformers.convert_slow_tokenizer import bytes_to_unicode

FIXTURES = Path(__file__).parent / "fixtures"
LETTERS = "ABCDE"
VOCABULARY = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4} | {c: 5 + i for i, c in enumerate(LETTERS)}
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": (32, 32, 32),
    "conv_stride": (5, 8, 8),
    "conv_kernel": (10, 16, 8),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": len(VOCABULARY),
    "ctc_loss_reduction": "mean",
    "mask_time_prob": 0.0,
} | dict.fromkeys(
    ("layerdrop", "hidden_dropout", "attention_dropout", "activation_dropout", "final_dropout", "feat_proj_dropout"),
    0.0,
)
LARGE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
CTC = {
    "wav2vec2": (transformers.Wav2Vec2Config, transformers.Wav2Vec2ForCTC, LARGE),
    "hubert": (transformers.HubertConfig, transformers.HubertForCTC, {}),
    "wavlm": (transformers.WavLMConfig, transformers.WavLMForCTC, {"num_buckets": 32, "max_bucket_distance": 40}),
    "data2vec": (
        transformers.Data2VecAudioConfig,
        transformers.Data2VecAudioForCTC,
        {"num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 5},
    ),
}
WHISPER, WHISPER_LANGUAGES = "whisper", ("en", "fr")
WHISPER_SIZES = {
    "d_model": 48,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "num_mel_bins": 20,
    "max_source_positions": 100,
    "max_target_positions": 40,
    "dropout": 0.0,
}
STEPS, BATCH, RATE_OF_LEARNING = 300, 8, 3e-3


def train_ctc(name: str, folder: Path, steps: int = STEPS) -> None:
    """Train a model of a name in `CTC` and save it with its tokenizer, in capitals, and its feature extractor."""
    configuration, kind, changes = CTC[name]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(VOCABULARY))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    torch.manual_seed(1)
    model = kind(configuration(**SIZES | changes)).train()
    texts = sentences("train")
    waves = [spoken(text, number) for number, text in enumerate(texts)]

    def loss(chosen: list[int]) -> torch.Tensor:
        inputs = extractor([waves[i] for i in chosen], sampling_rate=RATE, padding=True, return_tensors="pt")
        ids = [torch.tensor(tokenizer(texts[i].upper()).input_ids) for i in chosen]
        labels = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=-100)
        return model(**inputs, labels=labels).loss

    fit(model, loss, len(texts), steps)
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    extractor.save_pretrained(folder)


def train_whisper(folder: Path, steps: int = 600) -> None:
    """Train a Whisper of a window of two seconds, which knows en and fr, on many texts; save it with its processor."""
    names = [
        "startoftranscript",
        *WHISPER_LANGUAGES,
        "translate",
        "transcribe",
        "startofprev",
        "nospeech",
        "notimestamps",
    ]
    vocabulary = {unit: number for number, unit in enumerate(bytes_to_unicode().values())} | {"<|endoftext|>": 256}
    tokenizer = transformers.WhisperTokenizer(vocab=vocabulary, merges=[])
    tokenizer.add_tokens([f"<|{name}|>" for name in names], special_tokens=True)
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in (*names, "endoftext")}
    end = {"eos_token_id": 256, "pad_token_id": 256, "bos_token_id": 256, "decoder_start_token_id": 257}
    torch.manual_seed(1)
    model = transformers.WhisperForConditionalGeneration(
        transformers.WhisperConfig(**WHISPER_SIZES | end, vocab_size=len(tokenizer))
    ).train()
    model.generation_config = transformers.GenerationConfig(
        **end,
        is_multilingual=True,
        lang_to_id={f"<|{name}|>": ids[name] for name in WHISPER_LANGUAGES},
        task_to_id={"transcribe": ids["transcribe"], "translate": ids["translate"]},
        no_timestamps_token_id=ids["notimestamps"],
        max_length=40,
        suppress_tokens=[],
        begin_suppress_tokens=[220, 256],
    )
    extractor = transformers.WhisperFeatureExtractor(feature_size=WHISPER_SIZES["num_mel_bins"], chunk_length=2)
    texts = sentences("whisper")
    mels = extractor(
        [spoken(text, number) for number, text in enumerate(texts)], sampling_rate=RATE, return_tensors="pt"
    )
    prompt = [ids[name] for name in ("en", "transcribe", "notimestamps")]
    labels = [torch.tensor([*prompt, *tokenizer(text, add_special_tokens=False).input_ids, 256]) for text in texts]

    def loss(chosen: list[int]) -> torch.Tensor:
        wanted = torch.nn.utils.rnn.pad_sequence([labels[i] for i in chosen], batch_first=True, padding_value=-100)
        return model(mels.input_features[chosen], labels=wanted).loss

    fit(model, loss, len(texts), steps, batch=24)
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    extractor.save_pretrained(folder)


def fit(model: torch.nn.Module, loss, count: int, steps: int, batch: int = BATCH) -> None:
    """Lower `loss` of random examples out of `count`."""
    random = Random(1)
    optimizer = torch.optim.AdamW(model.parameters(), RATE_OF_LEARNING)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: min(1, (n + 1) / 20) * (1 - n / steps))
    for _ in range(steps):
        optimizer.zero_grad()
        loss(random.sample(range(count), batch)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()


def transcripts_ctc(folder: Path, split: str = "test") -> list[str]:
    """What transformers' own classes write, an utterance at a time, with single spaces between words."""
    model = getattr(transformers, json.loads((folder / "config.json").read_text())["architectures"][0])
    model = model.from_pretrained(folder, dtype=torch.float32).eval()
    processor = transformers.Wav2Vec2Processor.from_pretrained(folder)
    found = []
    for number, text in enumerate(sentences(split)):
        inputs = processor(spoken(text, number), sampling_rate=RATE, return_tensors="pt")
        with torch.inference_mode():
            logits = model(inputs.input_values).logits
        found += processor.batch_decode(logits.argmax(-1))
    return [" ".join(text.split()) for text in found]


def transcripts_whisper(folder: Path, split: str = "test", language: str = "en", beam: int = 1) -> list[str]:
    """What transformers' own generation writes, an utterance at a time."""
    model = transformers.WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    processor = transformers.WhisperProcessor.from_pretrained(folder)
    found = []
    for number, text in enumerate(sentences(split)):
        inputs = processor(spoken(text, number), sampling_rate=RATE, return_tensors="pt").input_features
        options = {"language": language, "task": "transcribe", "return_timestamps": False, "num_beams": beam}
        found += processor.batch_decode(model.generate(inputs, **options), skip_special_tokens=True)
    return [" ".join(text.split()) for text in found]


if __name__ == "__main__":
    for name in sys.argv[2:] or (*CTC, WHISPER):
        folder = Path(sys.argv[1]) / name
        train, transcripts = (train_whisper, transcripts_whisper) if name == WHISPER else (None, transcripts_ctc)
        train(folder) if train else train_ctc(name, folder)
        print(name, list(zip(sentences("test"), transcripts(folder), strict=True)))
