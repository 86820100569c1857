"""Keys and values that a search keeps are those that the decoder computes, and leave with the utterance."""

import torch
from espnet2.asr.decoder.transformer_decoder import TransformerDecoder

from secateur.decoding.memory import projected_once
from secateur.models.no_block import NoBlock

FRAMES, DIM = 9, 8


@torch.inference_mode()
def test_the_decoder_scores_as_without():
    torch.manual_seed(0)
    decoder = TransformerDecoder(7, DIM, attention_heads=2, linear_units=16, num_blocks=2).eval()
    before = list(decoder.named_modules())
    state = decoder.state_dict()
    prefixes = torch.tensor([[6, 1, 2], [6, 3, 1], [6, 3, 3]])
    for seed in (1, 2):
        encoder_out = torch.randn(FRAMES, DIM, generator=torch.Generator().manual_seed(seed))
        memory = encoder_out.expand(len(prefixes), FRAMES, DIM)
        expected, _ = decoder.batch_score(prefixes, [None] * 3, memory)
        with projected_once(decoder, encoder_out):
            scores, _ = decoder.batch_score(prefixes, [None] * 3, memory)
            unseen, _ = decoder.batch_score(prefixes, [None] * 3, torch.zeros_like(memory))
        assert torch.allclose(scores, expected, atol=1e-6)
        assert torch.equal(scores, unseen)  # what was projected was used
    assert list(decoder.named_modules()) == before
    assert all(torch.equal(state[name], tensor) for name, tensor in decoder.state_dict().items())


def test_a_search_that_fails_leaves_the_decoder_as_it_was():
    decoder = TransformerDecoder(7, DIM, attention_heads=2, linear_units=16, num_blocks=1).eval()
    layer = decoder.decoders[0].src_attn.linear_k
    try:
        with projected_once(decoder, torch.zeros(FRAMES, DIM)):
            raise ValueError
    except ValueError:
        pass
    assert decoder.decoders[0].src_attn.linear_k is layer


@torch.inference_mode()
def test_a_layer_whose_heads_are_gone_keeps_nothing():
    torch.manual_seed(0)
    decoder = TransformerDecoder(7, DIM, attention_heads=2, linear_units=16, num_blocks=2).eval()
    decoder.decoders[0].src_attn = NoBlock()
    encoder_out, prefix = torch.randn(FRAMES, DIM), torch.tensor([[6, 1, 2]])
    expected, _ = decoder.batch_score(prefix, [None], encoder_out[None])
    with projected_once(decoder, encoder_out):
        scores, _ = decoder.batch_score(prefix, [None], encoder_out[None])
    assert torch.allclose(scores, expected, atol=1e-6)


def test_a_model_without_decoder_needs_nothing():
    with projected_once(None, torch.zeros(FRAMES, DIM)):
        pass
