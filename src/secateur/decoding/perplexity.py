"""The perplexity of a language model on a text."""

import math
from collections.abc import Sequence

import torch

from secateur.core.errors import SecateurError
from secateur.speech.data import BatchPlan, TextExamples
from secateur.speech.tokens import Tokenizer

TOKENS_AT_ONCE = 4000


@torch.inference_mode()
def perplexity(model: torch.nn.Module, tokenizer: Tokenizer, sentences: Sequence[str]) -> dict[str, float]:
    """The perplexity of a language model in evaluation mode on some sentences, each by itself.

    Returns `perplexity`, e to the mean negative log-probability of a token, the end of every sentence being one of
    them, and what it is made of: `nats`, their sum, and the number of `tokens`. Models over one token list compare.
    Raises SecateurError when there is no sentence.
    """
    if not sentences:
        raise SecateurError("no sentence to take the perplexity of; give a text that is not empty")
    examples, device = TextExamples(sentences, tokenizer), next(model.parameters()).device
    nats, tokens = 0.0, 0
    for keys in BatchPlan(examples.lengths, TOKENS_AT_ONCE, seed=0).epoch(0):
        tensors = examples.load(keys).tensors
        loss, _, weight = model(**{name: tensor.to(device) for name, tensor in tensors.items()})
        nats, tokens = nats + loss.item() * int(weight), tokens + int(weight)
    return {"perplexity": math.exp(nats / tokens), "nats": nats, "tokens": tokens}
