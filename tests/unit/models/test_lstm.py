"""LSTM layers under autocast, on this processor and on one with less."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from secateur.models.lstm import LSTM

REFERENCE = Path(__file__).parents[2] / "reference" / "espnet"
LESS = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
TRY = """
import torch
from secateur.models.lstm import LSTM

torch.manual_seed(0)
lstm = LSTM(4, 8, 2, batch_first=True)
with torch.autocast("cpu", dtype=torch.bfloat16):
    outputs, state = lstm(torch.randn(3, 5, 4))
    outputs, _ = lstm(torch.randn(3, 5, 4), state)
outputs.sum().backward()
print(outputs.dtype, all(weight.grad.isfinite().all().item() for weight in lstm.parameters()))
"""

OF_ESPNET = """
import sys
import torch
from secateur.models import espnet_lm, formats

transducer = formats.load(sys.argv[1]).model.decoder
transducer.set_device(torch.device("cpu"))
options = {"lm": "seq_rnn", "lm_conf": {"unit": 8, "nlayers": 2}}
recurrent = espnet_lm.build({"espnet": options}, ["<blank>", "a", "b", "<sos/eos>"]).lm
with torch.autocast("cpu", dtype=torch.bfloat16):
    scores, state = recurrent(torch.tensor([[1, 2, 1]]), None)
    recurrent(torch.tensor([[2]]), state)
    outputs = transducer(torch.tensor([[0, 1, 2]]))
(scores.sum() + outputs.sum()).backward()
weights = [*recurrent.rnn.parameters(), *transducer.decoder.parameters()]
print(len(weights), all(weight.grad.isfinite().all().item() for weight in weights))
"""


def test_bfloat16_is_kept_out_of_it_where_the_processor_has_none_for_it():
    answer = subprocess.run(
        [sys.executable, "-c", TRY], env=os.environ | LESS, capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ["torch.float32", "True"]


def test_so_it_is_out_of_models_of_espnets_classes():
    command = [sys.executable, "-c", OF_ESPNET, REFERENCE / "conformer-transducer"]
    answer = subprocess.run(command, env=os.environ | LESS, capture_output=True, text=True, check=True)
    assert answer.stdout.split()[-2:] == ["12", "True"]


def test_it_is_torchs_lstm_in_float32_whatever_it_is_given():
    torch.manual_seed(0)
    ours, theirs = LSTM(4, 8, batch_first=True), torch.nn.LSTM(4, 8, batch_first=True)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    inputs, state = torch.randn(3, 5, 4), (torch.randn(1, 3, 8), torch.randn(1, 3, 8))
    wanted, (hidden, cell) = theirs(inputs, state)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, after = ours(inputs, state)
    assert torch.equal(found, wanted) and torch.equal(after[0], hidden) and torch.equal(after[1], cell)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = ours(inputs.bfloat16(), state)[0]
    assert torch.equal(rounded, theirs(inputs.bfloat16().float(), state)[0])
