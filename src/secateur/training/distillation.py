"""A smaller model learns from the whole one (Hinton, Vinyals & Dean 2015, "Distilling the knowledge …").

With weight w, L = (1 − w)·L_model + w·L_KL, where L_KL is the Kullback–Leibler divergence of the student's posteriors
from the teacher's, in nats, summed over an utterance and averaged over the batch, as ESPnet's losses are:

- those of the CTC head after the last layer, frame by frame,
- and, of a hybrid model, those of the attention decoder for the reference's prefixes, weighted as in its own loss.
"""

from pathlib import Path
from typing import Any

import torch

from secateur.core.errors import SecateurError
from secateur.models.load import Loaded, load_model
from secateur.training.hooks import TrainingHook


class Distillation(TrainingHook):
    """Adds L_KL to the loss that `model` answers with in training; what it is evaluated by stays its own loss.

    Args:
        model: the student, with a CTC head, and layers that end in as many frames as the teacher's.
        teacher: the whole model. It sees the speech as it is, without SpecAugment.
        weight: w, from 0 to 1.

    Raises SecateurError for a model without a CTC head.
    """

    def __init__(self, model: torch.nn.Module, teacher: torch.nn.Module, weight: float):
        if getattr(model, "ctc", None) is None:
            raise SecateurError("--distil: the model has no CTC head to distil through; leave it out")
        self.model, self.teacher, self.weight = model, teacher.eval(), weight
        self.encoder_out: torch.Tensor | None = None
        self.decoder_call: tuple[Any, torch.Tensor] | None = None

    def start(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        model.encoder.register_forward_hook(self._note_encoder)
        if getattr(model, "decoder", None) is not None:
            model.decoder.register_forward_hook(self._note_decoder)
        model.register_forward_hook(self._add, with_kwargs=True)
        self.teacher.to(next(model.parameters()).device)

    def _note_encoder(self, _, __, output) -> None:
        self.encoder_out = output[0][0] if isinstance(output[0], tuple) else output[0]

    def _note_decoder(self, _, arguments, output) -> None:
        self.decoder_call = arguments, output[0]

    def _add(self, model: torch.nn.Module, _, tensors: dict[str, torch.Tensor], output):
        if not model.training:
            return output
        loss, stats, weight = output
        assert self.encoder_out is not None
        with torch.no_grad():
            wanted, lengths = self.teacher.encode(tensors["speech"], tensors["speech_lengths"])
            wanted = wanted[0] if isinstance(wanted, tuple) else wanted
        ctc = divergence(self.teacher.ctc.ctc_lo(wanted), model.ctc.ctc_lo(self.encoder_out), lengths)
        if self.decoder_call is None:
            far = ctc
        else:
            (_, _, prefixes, prefix_lengths, *_), mine = self.decoder_call
            with torch.no_grad():
                theirs = self.teacher.decoder(wanted, lengths, prefixes, prefix_lengths)[0]
            share = model.ctc_weight
            far = share * ctc + (1 - share) * divergence(theirs, mine, prefix_lengths)
        self.encoder_out = self.decoder_call = None
        return (1 - self.weight) * loss + self.weight * far, stats, weight


def teacher_for(student: Loaded, folder: Path | None) -> torch.nn.Module | None:
    """The model in a folder, to learn from; None for none. Raises SecateurError for other tokens than the student's."""
    if folder is None:
        return None
    teacher = load_model(folder)
    if teacher.tokens != student.tokens:
        raise SecateurError(f"--teacher: {folder} has another token list than the model that is to learn from it")
    return teacher.model


def divergence(wanted: torch.Tensor, found: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """KL(wanted ‖ found) of logits (B, T, V) in nats: summed over the first `lengths` (B,) of T, mean over B."""
    wanted, found = (logits.float().log_softmax(-1) for logits in (wanted.detach(), found))
    valid = torch.arange(found.shape[1], device=found.device) < lengths.to(found.device)[:, None]
    each = (wanted.exp() * (wanted - found)).sum(-1)
    return each.masked_fill(~valid, 0.0).sum() / len(found)
