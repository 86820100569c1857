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
    `per_character` and `per_word` are e to the mean over characters (spaces among them) and words, of which every
    sentence's end is one, too: those of models over any token lists compare.
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
    characters = sum(len(" ".join(sentence.split())) + 1 for sentence in sentences)
    words = sum(len(sentence.split()) + 1 for sentence in sentences)
    return {
        "perplexity": math.exp(nats / tokens),
        "per_character": math.exp(nats / characters),
        "per_word": math.exp(min(nats / words, 700.0)),  # an untrained model's may be beyond all floats
        "nats": nats,
        "tokens": tokens,
    }
