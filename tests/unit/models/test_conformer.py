import copy

import pytest
import torch
from espnet.nets.pytorch_backend.conformer.convolution import ConvolutionModule
from espnet.nets.pytorch_backend.conformer.swish import Swish
from espnet.nets.pytorch_backend.transformer.attention import RelPositionMultiHeadedAttention
from tiny import CTC, NO_INNER_LOSS, TOKENS, with_encoder

from secateur.models.build import build_model
from secateur.models.conformer import Convolution, DepthwiseConv, PointwiseConv, RelativeAttention

CONFORMER = with_encoder(CTC, type="conformer", dropout=0.0)
LENGTHS = torch.tensor([7, 4, 1])


def grown(parameters):
    """Away from zero: biases of ESPnet begin there, and an error in them would not show."""
    for parameter in parameters:
        torch.nn.init.normal_(parameter, std=0.3)


@pytest.mark.parametrize("padded", [False, True])
def test_attention_equals_espnets_with_all_gradients(padded):
    torch.manual_seed(1)
    theirs = RelPositionMultiHeadedAttention(3, 12, 0.0)
    grown(theirs.parameters())
    ours = copy.deepcopy(theirs)
    ours.__class__ = RelativeAttention
    hidden, positions = torch.randn(3, 7, 12), torch.randn(1, 13, 12)
    mask = (torch.arange(7) < LENGTHS[:, None])[:, None] if padded else None
    outputs, gradients = [], []
    for attention in (theirs, ours):
        own = hidden.clone().requires_grad_()
        output = attention(own, own, own, positions, mask)
        (output * torch.arange(1.0, 13.0)).square().sum().backward()
        outputs.append(output.detach())
        gradients.append([own.grad, *(parameter.grad for parameter in attention.parameters())])
    torch.testing.assert_close(outputs[1], outputs[0])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-3)


def test_position_scores_are_shifted_as_defined():
    attention = RelativeAttention(2, 4, 0.0)
    by_distance = torch.randn(2, 2, 5, 9)
    shifted = attention.rel_shift(by_distance)
    for query in range(5):
        for key in range(5):
            assert torch.equal(shifted[..., query, key], by_distance[..., query, 4 - query + key])


class BatchFirst(torch.nn.LayerNorm):
    """Of (B, D, T)."""

    def forward(self, hidden):
        return super().forward(hidden.transpose(1, 2)).transpose(1, 2)


def test_the_convolution_equals_espnets_with_all_gradients():
    torch.manual_seed(2)
    theirs = ConvolutionModule(6, 5, Swish())
    theirs.norm = BatchFirst(6)
    grown(theirs.parameters())
    config = with_encoder(CONFORMER, layers=1, dim=6, heads=1) | {"intermediate_ctc": NO_INNER_LOSS}
    encoder = build_model(config, TOKENS).encoder
    ours = encoder.encoders[0].conv_module
    ours.load_state_dict(theirs.state_dict())
    hidden, results = torch.randn(3, 7, 6), []
    encoder.padding_guard.lengths = torch.full((3,), 7)
    for module in (theirs, ours):
        own = hidden.clone().requires_grad_()
        output = module(own)
        (output * torch.arange(1.0, 7.0)).square().sum().backward()
        results.append([output.detach(), own.grad, *(parameter.grad for parameter in module.parameters())])
    torch.testing.assert_close(results[1], results[0], rtol=1e-4, atol=1e-3)


def test_a_conformer_has_the_fast_parts_and_espnets_names():
    torch.manual_seed(3)
    model = build_model(CONFORMER, TOKENS)
    names = {name for name, _ in model.encoder.encoders[0].named_parameters()}
    assert {"self_attn.linear_pos.weight", "self_attn.pos_bias_u", "conv_module.depthwise_conv.weight"} <= names
    for layer in model.encoder.encoders:
        assert type(layer.self_attn) is RelativeAttention
        convolution = layer.conv_module
        assert type(convolution) is Convolution and type(convolution.depthwise_conv) is DepthwiseConv
        assert type(convolution.pointwise_conv1) is type(convolution.pointwise_conv2) is PointwiseConv
