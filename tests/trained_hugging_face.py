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


def fit(model: torch.nn.Module, loss, count: int, steps: int) -> None:
    """Lower `loss` of random examples out of `count`."""
    random = Random(1)
    optimizer = torch.optim.AdamW(model.parameters(), RATE_OF_LEARNING)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: min(1, (n + 1) / 20) * (1 - n / steps))
    for _ in range(steps):
        optimizer.zero_grad()
        loss(random.sample(range(count), BATCH)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()


def transcripts_ctc(folder: Path, split: str = "test") -> list[str]:
    """What transformers' own classes write, an utterance at a time."""
    model = getattr(transformers, json.loads((folder / "config.json").read_text())["architectures"][0])
    model = model.from_pretrained(folder, dtype=torch.float32).eval()
    processor = transformers.Wav2Vec2Processor.from_pretrained(folder)
    found = []
    for number, text in enumerate(sentences(split)):
        inputs = processor(spoken(text, number), sampling_rate=RATE, return_tensors="pt")
        with torch.inference_mode():
            logits = model(inputs.input_values).logits
        found += processor.batch_decode(logits.argmax(-1))
    return found


if __name__ == "__main__":
    for name in sys.argv[2:] or CTC:
        train_ctc(name, Path(sys.argv[1]) / name)
        print(name, list(zip(sentences("test"), transcripts_ctc(Path(sys.argv[1]) / name), strict=True)))
