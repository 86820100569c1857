"""Make the ESPnet folders of this directory: trained, packed and decoded by ESPnet itself. By hand, once.

    python tests/reference/espnet/make.py tests/reference/espnet [KIND …] [--hear]

(`--hear` only decodes again) needs this project's environment. What ESPnet imports beside it, for classes that are not
used here, is stood in for (`hear.py`); so is `warprnnt_pytorch`, which has no build beside CPU torch, by our loss.

The models learn a handful of synthetic utterances (two or three English digits each) by heart; `expected.json` has what
`espnet2.bin.asr_inference.Speech2Text` makes of them, one utterance at a time.
"""

import json
import os
import shutil
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
import yaml
from hear import heard, stand_in

from secateur.models.rnnt_loss import rnnt_loss
from secateur.speech.corpora.espeak import speak

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
UTTERANCES = 36
STEPS = {"transformer-ctc": 500, "conformer-hybrid": 350, "e-branchformer-bpe": 350, "conformer-transducer": 450}
SPECAUG = {
    "apply_time_warp": False,
    "num_freq_mask": 1,
    "num_time_mask": 1,
    "freq_mask_width_range": [0, 8],
    "time_mask_width_range": [0, 5],
}
TABLES = {
    "text": "{name} {text}\n",
    "utt2spk": "{name} espeak\n",
    "wav.scp": "{name} tests/reference/espnet/speech/wav/{name}.flac\n",
}


class OurLoss(torch.nn.Module):
    """`warprnnt_pytorch.RNNTLoss` as ESPnet calls it: the mean over utterances."""

    def __init__(self, blank, fastemit_lambda):
        super().__init__()
        self.blank = blank

    def forward(self, logits, targets, frames, labels):
        return rnnt_loss(logits, targets, frames, labels, self.blank).mean()


def our_loss() -> None:
    module = types.ModuleType("warprnnt_pytorch")
    module.RNNTLoss = OurLoss
    sys.modules["warprnnt_pytorch"] = module


def make_speech(folder: Path) -> dict[str, tuple[Path, str]]:
    """FLAC files at 16 kHz and Kaldi data directories, with texts in capitals, as many ESPnet models write."""
    draw = np.random.default_rng(7)
    found, seen = {}, set()
    (folder / "wav").mkdir(parents=True, exist_ok=True)
    while len(found) < UTTERANCES:
        words = [DIGITS[index] for index in draw.integers(len(DIGITS), size=draw.integers(2, 4))]
        text = " ".join(words)
        if text in seen:
            continue
        seen.add(text)
        samples, rate = speak(text, "en", 200)
        samples = soxr.resample(samples.astype(np.float32) / 32768, rate, 16000)
        name = f"digits-{len(found):02d}"
        soundfile.write(folder / "wav" / f"{name}.flac", samples, 16000, subtype="PCM_16")
        found[name] = (folder / "wav" / f"{name}.flac", text.upper())
    names = sorted(found)
    for split, part in {"train": names[:24], "dev": names[24:30], "test": names[30:]}.items():
        (folder / split).mkdir(exist_ok=True)
        for table, line in TABLES.items():
            (folder / split / table).write_text("".join(line.format(name=name, text=found[name][1]) for name in part))
    return found


def options(kind: str) -> dict:
    """What the configuration of each model says beside ESPnet's defaults."""
    common = {
        "output_size": 48, "attention_heads": 4, "linear_units": 96, "num_blocks": 3, "dropout_rate": 0.0,
        "positional_dropout_rate": 0.0, "attention_dropout_rate": 0.0,
    }  # fmt: skip
    conformer = common | {
        "macaron_style": True, "rel_pos_type": "latest", "pos_enc_layer_type": "rel_pos",
        "selfattention_layer_type": "rel_selfattn", "activation_type": "swish", "use_cnn_module": True,
        "cnn_module_kernel": 7,
    }  # fmt: skip
    branch = common | {
        "rel_pos_type": "latest", "pos_enc_layer_type": "rel_pos", "attention_layer_type": "rel_selfattn",
        "cgmlp_linear_units": 96, "cgmlp_conv_kernel": 7, "use_linear_after_conv": False, "gate_activation": "identity",
        "input_layer": "conv2d2", "use_ffn": True, "macaron_ffn": True, "ffn_activation_type": "swish",
        "merge_conv_kernel": 5, "interctc_layer_idx": [2], "interctc_use_conditioning": True,
    }  # fmt: skip
    decoder = {
        "attention_heads": 4, "linear_units": 96, "num_blocks": 2, "dropout_rate": 0.0, "positional_dropout_rate": 0.0,
    }  # fmt: skip
    hybrid = {"ctc_weight": 0.3, "lsm_weight": 0.1, "length_normalized_loss": False}
    return {
        "transformer-ctc": {
            "encoder": "transformer", "encoder_conf": common | {"input_layer": "conv2d"},
            "model_conf": {"ctc_weight": 1.0},
        },
        "conformer-hybrid": {
            "encoder": "conformer", "encoder_conf": conformer, "decoder": "transformer", "decoder_conf": decoder,
            "model_conf": hybrid, "frontend_conf": {"fs": "16k", "n_fft": 400, "hop_length": 160},
        },
        "e-branchformer-bpe": {
            "encoder": "e_branchformer", "encoder_conf": branch, "decoder": "transformer", "decoder_conf": decoder,
            "model_conf": hybrid | {"interctc_weight": 0.3}, "normalize": "utterance_mvn", "normalize_conf": {},
        },
        "conformer-transducer": {
            "encoder": "conformer", "encoder_conf": conformer | {"num_blocks": 2}, "decoder": "transducer",
            "decoder_conf": {
                "rnn_type": "lstm", "num_layers": 1, "hidden_size": 48, "dropout": 0.0, "dropout_embed": 0.0,
            },
            "joint_net_conf": {"joint_space_size": 48}, "model_conf": {"ctc_weight": 0.3, "report_cer": False,
            "report_wer": False},
        },
    }[kind]  # fmt: skip


def parsed(task, given: dict):
    """The arguments of a task, all defaults filled in, as its config.yaml has them."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(given, file)
        file.flush()
        found = task.get_parser().parse_args(["--config", file.name, "--output_dir", given["output_dir"]])
    found.config = None  # a path of the machine that this ran on
    return found


def token_list(work: Path, kind: str, texts: list[str]) -> tuple[Path, Path | None]:
    """A token list in ESPnet's order, and the SentencePiece model, with `<s>` and `</s>` in it as ESPnet's have."""
    folder = work / "data" / f"token_list_{kind}"
    folder.mkdir(parents=True, exist_ok=True)
    if "bpe" not in kind:
        units = ["<space>", *sorted({character for text in texts for character in text} - {" "})]
        model = None
    else:
        import sentencepiece

        model = folder / "bpe.model"
        with open(model, "wb") as written:  # not by names of files, which it would hold
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(texts), model_writer=written, vocab_size=44, model_type="bpe",
                input_sentence_size=100000000,
            )  # fmt: skip
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(model))
        units = sorted({piece for text in texts for piece in pieces.encode(text, out_type=str)})
    file = folder / "tokens.txt"
    file.write_text("\n".join(["<blank>", "<unk>", *units, "<sos/eos>"]) + "\n")
    return file, model


def train(model: torch.nn.Module, batch: dict[str, torch.Tensor], steps: int, seed: int = 1) -> None:
    """A dozen of the utterances at every step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    draw = torch.Generator().manual_seed(seed)
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1.0, (step + 1) / 40, 3 * (steps - step) / steps)
        chosen = torch.randperm(len(next(iter(batch.values()))), generator=draw)[:12]
        loss, _, _ = model(**{name: value[chosen] for name, value in batch.items()})
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        if step % 50 == 0 or step == steps - 1:
            print(step, float(loss), flush=True)
    model.eval()


def padded(sequences: list[torch.Tensor], value: float) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    return torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=value), lengths


def tokenized(tokens: list[str], bpe: Path | None, texts: list[str]) -> list[torch.Tensor]:
    from espnet2.text.build_tokenizer import build_tokenizer
    from espnet2.text.token_id_converter import TokenIDConverter

    tokenizer = build_tokenizer("bpe" if bpe else "char", bpemodel=str(bpe) if bpe else None)
    converter = TokenIDConverter(tokens)
    return [torch.tensor(converter.tokens2ids(tokenizer.text2tokens(text))) for text in texts]


def make(kind: str, speech: dict[str, tuple[Path, str]], output: Path) -> None:
    """Train, pack, unpack, decode."""
    from espnet2.main_funcs.pack_funcs import pack
    from espnet2.tasks.asr import ASRTask
    from espnet2.tasks.lm import LMTask
    from espnet2.utils.yaml_no_alias_safe_dump import yaml_no_alias_safe_dump

    torch.manual_seed(3)
    texts = [text for _, text in speech.values()]
    with tempfile.TemporaryDirectory() as place:
        work, before = Path(place), Path.cwd()
        os.chdir(work)
        list_file, bpe = (None if file is None else file.relative_to(work) for file in token_list(work, kind, texts))
        tokens = list_file.read_text().splitlines()
        waves = [torch.from_numpy(soundfile.read(path, dtype="float32")[0]) for path, _ in speech.values()]
        ids = tokenized(tokens, bpe, texts)
        exp = Path("exp") / f"asr_{kind}"
        exp.mkdir(parents=True)
        given = {
            "output_dir": str(exp), "token_list": str(list_file), "token_type": "bpe" if bpe else "char",
            "bpemodel": str(bpe) if bpe else None, "frontend": "default", "frontend_conf": {"fs": "16k"},
            "specaug": "specaug", "specaug_conf": SPECAUG,
            "normalize": "global_mvn", "normalize_conf": {"stats_file": str(statistics(waves, kind))},
        } | options(kind)  # fmt: skip
        arguments = parsed(ASRTask, given)
        model = ASRTask.build_model(arguments)
        print(kind, sum(p.numel() for p in model.parameters()))
        model.specaug = None if kind != "conformer-hybrid" else model.specaug
        wave, wave_lengths = padded(waves, 0.0)
        text, text_lengths = padded(ids, -1)
        batch = {"speech": wave, "speech_lengths": wave_lengths, "text": text, "text_lengths": text_lengths}
        train(model, batch, STEPS[kind])
        torch.save(model.state_dict(), exp / "valid.acc.ave_10best.pth")
        (exp / "config.yaml").write_text(yaml_no_alias_safe_dump(vars(arguments), indent=4, sort_keys=False))
        files = {"asr_model_file": str(exp / "valid.acc.ave_10best.pth")}
        yamls = {"asr_train_config": str(exp / "config.yaml")}
        if kind == "conformer-hybrid":
            lm = Path("exp/lm_digits")
            lm.mkdir()
            conf = {"pos_enc": None, "embed_unit": 16, "att_unit": 32, "head": 2, "unit": 64, "layer": 1,
                    "dropout_rate": 0.0}  # fmt: skip
            lm_arguments = parsed(LMTask, {
                "output_dir": str(lm), "token_list": str(list_file), "token_type": "char", "lm": "transformer",
                "lm_conf": conf,
            })  # fmt: skip
            language_model = LMTask.build_model(lm_arguments)
            train(language_model, {"text": text.clamp(min=0), "text_lengths": text_lengths}, 200)
            torch.save(language_model.state_dict(), lm / "valid.loss.ave_10best.pth")
            (lm / "config.yaml").write_text(yaml_no_alias_safe_dump(vars(lm_arguments), indent=4, sort_keys=False))
            files["lm_file"] = str(lm / "valid.loss.ave_10best.pth")
            yamls["lm_train_config"] = str(lm / "config.yaml")
        others = [str(file) for file in (bpe, given["normalize_conf"].get("stats_file")) if file]
        pack(files=files, yaml_files=yamls, option=others, outpath="packed.zip")
        shutil.rmtree(output / kind, ignore_errors=True)
        shutil.unpack_archive("packed.zip", output / kind)
        os.chdir(before)
    hear(output / kind, speech)


def hear(folder: Path, speech: dict[str, tuple[Path, str]]) -> None:
    """Write what `Speech2Text` makes of a packed folder into it."""
    waves = {name: path for name, (path, _) in speech.items()}
    (folder / "expected.json").write_text(json.dumps(heard(folder, waves), indent=1) + "\n")


def statistics(waves: list[torch.Tensor], kind: str) -> Path:
    """`feats_stats.npz` as ESPnet's stage of statistics writes it."""
    from espnet2.asr.frontend.default import DefaultFrontend

    front = DefaultFrontend(**({"fs": "16k"} | options(kind).get("frontend_conf", {})))
    feats = [front(wave[None], torch.tensor([len(wave)]))[0][0].double() for wave in waves]
    whole = torch.cat(feats).numpy()
    file = Path("exp/asr_stats/train/feats_stats.npz")
    file.parent.mkdir(parents=True)
    np.savez(file, count=len(whole), sum=whole.sum(0), sum_square=(whole**2).sum(0))
    return file


if __name__ == "__main__":
    stand_in()
    our_loss()
    target = Path(sys.argv[1]).resolve()
    spoken = make_speech(target / "speech")
    for one in [kind for kind in sys.argv[2:] if kind in STEPS] or STEPS:
        if "--hear" in sys.argv:
            hear(target / one, spoken)
        else:
            make(one, spoken, target)
