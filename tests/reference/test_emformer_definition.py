"""The Emformer against its definition: one utterance, one segment, one head at a time, with lists instead of masks."""

import math
import random

import pytest
import torch

from secateur.models.emformer import Emformer

OPTIONS = {"layers": 3, "dim": 12, "heads": 3, "ffn": 20, "dropout": 0.1, "attention_dropout": 0.1}


def options(seed):
    """Sizes of segments, contexts and memory: also none of them, and contexts wider than a segment."""
    rng = random.Random(seed)
    return OPTIONS | {
        "segment": rng.randint(1, 5),
        "left_context": rng.choice([0, 1, 3, 8]),
        "right_context": rng.choice([0, 1, 2, 6]),
        "memory": rng.choice([0, 0, 1, 2, 5]),
        "positions": rng.random() < 0.5,
        "convolution": rng.choice([0, 0, 1, 4, 9]),
    }


def emformer(seed):
    """An encoder in float64, in evaluation mode, all of whose parameters are random and matter."""
    torch.manual_seed(seed)
    encoder = Emformer(7, options(seed)).double().eval()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return encoder


def attend(attention, query, keys, values, distances=None):
    """Output of multi-head attention for one query; `distances` are key − query, None for a memory vector."""
    heads = []
    for head in range(attention.h):
        part = slice(head * attention.d_k, (head + 1) * attention.d_k)
        scores = []
        for index, key in enumerate(keys):
            score = (attention.linear_q(query)[part] @ key[part]) / math.sqrt(attention.d_k)
            if attention.distance_bias is not None and distances is not None and distances[index] is not None:
                middle = attention.distance_bias.shape[1] - attention.reach
                score = score + attention.distance_bias[head, distances[index] + middle]
            scores.append(score)
        weights = torch.stack(scores).softmax(0)
        heads.append(sum(weight * value[part] for weight, value in zip(weights, values, strict=True)))
    return attention.linear_out(torch.cat(heads))


def convolve(module, before, frames, count):
    """Outputs for `frames`, of which the first `count` are the segment's, and all that was read up to its end."""
    inputs = []
    for frame in frames:
        values, gates = module.pointwise_in(module.norm_input(frame)).chunk(2)
        inputs.append(values * gates.sigmoid())
    everything = before + inputs
    outputs = []
    for place in range(len(before), len(everything)):
        total = 0.0
        for age, weight in enumerate(reversed(module.depthwise)):
            if place >= age:
                total = total + weight * everything[place - age]
        hidden = module.norm(total)
        outputs.append(module.pointwise_out(hidden * hidden.sigmoid()))
    return outputs, before + inputs[:count]


def reference(encoder, utterance):
    """Output (T, D) for the features (T, F) of one utterance, by section 3 of Shi et al. 2021."""
    size, left, right, memory_size = encoder.segment, encoder.left, encoder.right, encoder.memory
    frames = encoder.embed(utterance)
    starts = range(0, len(frames), size)
    segments = [list(frames[start : start + size]) for start in starts]
    rights = [list(frames[start + size : start + size + right]) for start in starts]
    memories = [torch.stack(segment).mean(0) for segment in segments]
    for layer in encoder.encoders:
        attention = layer.attention
        # The largest distance, from which the bias is counted, is that of the last key and the first query.
        attention.reach = size + right
        history = []  # (position, key, value) of the segments so far
        convolutions = []  # what the convolution has read of them
        new_segments, new_rights, new_memories = [], [], []
        for i, start in enumerate(starts):
            segment = [layer.norm_attention(frame) for frame in segments[i]]
            look_ahead = [layer.norm_attention(frame) for frame in rights[i]]
            own = [(start + j, attention.linear_k(frame), attention.linear_v(frame)) for j, frame in enumerate(segment)]
            ahead = [
                (start + size + j, attention.linear_k(frame), attention.linear_v(frame))
                for j, frame in enumerate(look_ahead)
            ]
            bank = [
                (None, attention.linear_k(vector), attention.linear_v(vector))
                for vector in memories[max(0, i - memory_size) : i]
            ]
            near = history[max(0, len(history) - left) :] + own + ahead

            def run(vector, position, seen, attention=attention):
                distances = [None if place is None or position is None else place - position for place, _, _ in seen]
                return attend(attention, vector, [key for _, key, _ in seen], [value for *_, value in seen], distances)

            attended = [
                before + run(frame, start + j, bank + near)
                for j, (before, frame) in enumerate(
                    zip([*segments[i], *rights[i]], [*segment, *look_ahead], strict=True)
                )
            ]
            if layer.convolution is not None:
                convolved, convolutions = convolve(layer.convolution, convolutions, attended, len(segment))
                attended = [frame + output for frame, output in zip(attended, convolved, strict=True)]
            finished = [
                layer.norm_output(frame + layer.feed_forward(layer.norm_feed_forward(frame))) for frame in attended
            ]
            new_segments.append(finished[: len(segment)])
            new_rights.append(finished[len(segment) :])
            new_memories.append(torch.tanh(run(layer.norm_attention(torch.stack(segments[i])).mean(0), None, near)))
            history += own
        segments, rights, memories = new_segments, new_rights, new_memories
    return torch.stack([frame for segment in segments for frame in segment])


@pytest.mark.parametrize("seed", range(12))
@torch.no_grad()
def test_training_pass_follows_the_definition(seed):
    encoder = emformer(seed)
    lengths = [random.Random(seed).randint(1, 19), 6, 1, 15]
    features = [torch.randn(length, 7, dtype=torch.float64) for length in lengths]
    padded = torch.nn.utils.rnn.pad_sequence(features, batch_first=True, padding_value=99.0)
    output, output_lengths, _ = encoder(padded, torch.tensor(lengths))
    assert output.shape == (4, max(lengths), 12)
    assert output_lengths.tolist() == lengths
    for i, utterance in enumerate(features):
        torch.testing.assert_close(output[i, : lengths[i]], reference(encoder, utterance), rtol=0, atol=1e-10)
