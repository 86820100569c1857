"""Jobs that are killed at random moments, and a disk that fills up: what they leave, and what a second try makes of it.

Here jobs are scripts of the workflow in a process of their own; `make soak` does the same to a whole study (below).
"""

import contextlib
import hashlib
import json
import logging
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import user_world
from clones import Clone, children, wait_for
from differences import differences

from secateur.__main__ import main as secateur
from secateur.core.files import write_text
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.tensors import read_tensors
from secateur.speech.datadir import Utterance, write_data_dir

ROOT = Path(__file__).resolve().parents[2]
KILLS = 8  # of each kind of job
LETTERS = ["<blank>", "<unk>", "<space>", *"abcdefgh", "<sos/eos>"]
MODEL = user_world.MODEL | {"encoder": user_world.MODEL["encoder"] | {"dropout": 0.1}, "stochastic_depth": 0.2}
SPECAUG = {"frequency_masks": 1, "frequency_width": 4, "time_masks": 1, "time_width": 0.05}
TRAINING = user_world.TRAINING | {
    **{"steps": 60, "batch_seconds": 3, "evaluate_every": 5, "average_best": 2, "checkpoint_seconds": 0},
    **{"specaug": SPECAUG},
}
GREEDY = user_world.GREEDY | {"batch": 1}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Some noise as a corpus, with its features, a token list and a model."""
    folder = tmp_path_factory.mktemp("a corpus")
    generator, words = np.random.default_rng(0), random.Random(0)
    for split, count in (("train", 12), ("dev", 3), ("test", 40)):
        utterances = []
        for number in range(count):
            audio = folder / "audio" / f"{split}{number}.wav"
            audio.parent.mkdir(exist_ok=True)
            soundfile.write(audio, generator.normal(0, 0.1, 16000), 16000)
            text = "".join(words.choice("abc defgh") for _ in range(6)).strip() or "a"
            utterances.append(Utterance(f"{split}{number:02d}", str(audio), text, "s", "en", 1.0))
        write_data_dir(folder / "data/en" / split, utterances)
    write_text(folder / "tokens/tokens.txt", "\n".join(LETTERS) + "\n")
    for split in ("train", "dev", "test"):
        data, features = folder / "data/en" / split, folder / "features/en" / split
        assert in_a_process("features", "--data", data, "--mel-bins", 20, "--output", features) == 0
    torch.manual_seed(0)
    save_model(folder / "model", build_model(MODEL, LETTERS), MODEL, LETTERS)
    return folder


def command(kind: str, corpus: Path, output: Path) -> list[object]:
    """A script of the workflow that works in `output`."""
    if kind == "features":
        return [
            "features",
            "--data",
            corpus / "data/en/test",
            "--mel-bins",
            20,
            "--speeds",
            1.0,
            0.9,
            "--output",
            output,
        ]
    if kind == "train":
        return ["train", "--model", json.dumps(MODEL), "--training", json.dumps(TRAINING), "--data", corpus / "data",
                "--features", corpus / "features", "--languages", "en", "--tokens", corpus / "tokens/tokens.txt",
                "--device", "cpu", "--output", output, "--run-json", output / "run.json"]  # fmt: skip
    return ["decode", "--model", corpus / "model", "--search", json.dumps(GREEDY), "--device", "cpu", "--data",
            corpus / "data/en/test", "--features", corpus / "features/en/test", "--keep", "code",
            "--output", output]  # fmt: skip


def start(script: str, *arguments: object, said: str | Path = os.devnull) -> multiprocessing.Process:
    """Run a script of the workflow in a fork of this process, which has torch loaded: it begins at once.

    What it writes to standard error goes to the file `said`. Features are extracted by two workers.
    """

    def work() -> None:
        sys.argv = ["secateur", script.replace("_", "-"), *map(str, arguments)]
        if script == "features":
            os.environ["OMP_NUM_THREADS"] = "2"
        logging.getLogger().handlers.clear()  # pytest's
        logging.disable(logging.NOTSET)  # which another test may have changed
        with open(said, "w") as stream, contextlib.redirect_stderr(stream):
            secateur()

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


def in_a_process(script: str, *arguments: object, said: str | Path = os.devnull) -> int:
    """Run a script to its end; its exit status."""
    process = start(script, *arguments, said=said)
    process.join()
    return process.exitcode


def contents(folder: Path) -> dict[str, str]:
    """What is in a folder, by hash; without the times in histories, and without records."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or path.name in ("run.json", "finished.json") or path.parent.name == "parts":
            continue
        content = path.read_bytes()
        if path.suffix == ".tsv":
            rows = [line.split("\t") for line in content.decode().splitlines()]
            kept = [i for i, column in enumerate(rows[0]) if column != "seconds"]
            content = "\n".join("\t".join(row[i] for i in kept) for row in rows).encode()
        content = content.replace(str(folder).encode(), b"")  # an index of features names its archive
        found[name] = hashlib.sha256(content).hexdigest()
    return found


@pytest.mark.parametrize("kind", ["train", "decode", "features"])
def test_jobs_killed_at_random_moments_end_with_the_same_bytes(kind, corpus, tmp_path):
    """SIGKILL at a random moment, KILLS times; the same job again; nothing is left over and nothing differs.

    A training goes on from its last saved step, and the workers of a feature job end with it.
    """
    began = time.monotonic()
    assert in_a_process(*command(kind, corpus, tmp_path / "whole")) == 0
    seconds = time.monotonic() - began
    whole = contents(tmp_path / "whole")
    moments, killed = random.Random(kind), 0
    folder = tmp_path / "killed"
    state = folder / "resume" / "state.safetensors"
    while killed < KILLS or (kind == "train" and not state.exists()):
        process = start(*command(kind, corpus, folder))
        time.sleep(seconds * moments.uniform(0.05, 0.95))
        workers = children(process.pid)
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.join()
        wait_for(lambda pids=workers: not any(map(cmdline, pids)), 10)
        if process.exitcode == 0:  # it was through before
            assert contents(folder) == whole
            shutil.rmtree(folder)
        elif state.exists():
            read_tensors(state)
        complete = (
            {name: value for name, value in contents(folder).items() if not name.endswith(".part")}
            if folder.exists()
            else {}
        )
        assert all(value == whole[name] for name, value in complete.items() if name in whole), "a half under its name"
    assert in_a_process(*command(kind, corpus, folder), said=tmp_path / "said") == 0
    assert contents(folder) == whole
    assert (kind == "train") == ("resumed at step" in (tmp_path / "said").read_text())


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB; the function that changes its size."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root; test_checkpoints.py has a limit on files in its place")

    def resize(size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)

    yield folder, resize
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_in_training_costs_a_try_and_no_work(corpus, small_disk, tmp_path):
    """The state is saved until there is no room for the next; with room again, training goes on from there."""
    folder, resize = small_disk
    assert in_a_process(*command("train", corpus, tmp_path / "whole")) == 0
    whole = contents(tmp_path / "whole")
    state = folder / "out" / "resume" / "state.safetensors"
    process = start(*command("train", corpus, folder / "out"), said=tmp_path / "said")
    while not state.exists():
        assert process.is_alive()
        time.sleep(0.01)
    free = shutil.disk_usage(folder).free
    (folder / "another's file").write_bytes(bytes(max(0, free - 20_000)))
    process.join()
    assert process.exitcode == 1
    assert "could not be written (No space left on device); free some disk space" in (tmp_path / "said").read_text()
    read_tensors(state)
    assert not list(folder.rglob("*.part")) and not (folder / "out" / "model.safetensors").exists()
    resize("20m")
    assert in_a_process(*command("train", corpus, folder / "out"), said=tmp_path / "said") == 0
    assert contents(folder / "out") == whole and "resumed at step" in (tmp_path / "said").read_text()


# --- a whole study


@pytest.mark.soak
def test_a_study_whose_jobs_are_killed_again_and_again_ends_with_the_same_tables(tmp_path):
    """SECATEUR_KILLS times (100) a random process of the smoke study: a job, its shell, Snakemake, the launcher."""
    kills = int(os.environ.get("SECATEUR_KILLS", "100"))
    moments = random.Random(int(os.environ.get("SECATEUR_SEED", "0")))
    whole, clone = Clone.make(tmp_path / "whole"), Clone.make(tmp_path / "killed")
    whole.launch(study=whole.repeatable_study(), seconds=36000)
    study = clone.repeatable_study()
    victims: list[str] = []
    results = Path("results/smoke")
    status = None
    while status != 0 or len(victims) < kills:
        if status == 0:  # it was through before: once more, from nothing
            assert differences(whole.folder / results, clone.folder / results) == []
            shutil.rmtree(clone.folder / results)
        process, before = clone.start(study=study), len(victims)
        said = in_background(process)
        while process.poll() is None and len(victims) < kills:
            time.sleep(moments.expovariate(1 / 8))
            chosen = victim(process.pid, moments)
            words = cmdline(chosen).split(b"\0")
            with contextlib.suppress(ProcessLookupError):
                if words != [b""]:  # else it has ended
                    os.kill(chosen, signal.SIGKILL)
                    victims.append(b" ".join(words)[:100].decode())
        status = process.wait(36000)
        if lives := re.search(r"another run \(process (\d+) on", said()):  # the launcher was killed, Snakemake was not
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(lives[1]), signal.SIGINT)  # as the message says
            wait_for(lambda pid=int(lives[1]): not cmdline(pid), 600)
        else:
            assert status == 0 or len(victims) > before, f"it fails without being killed: {said()}"
    print(f"killed {len(victims)}:", *sorted(victims), sep="\n")
    assert differences(whole.folder / results, clone.folder / results) == []


def in_background(process: subprocess.Popen) -> Callable[[], str]:
    """Read what a process says, so that it never waits for a reader; the function that gives it so far."""
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True)
    reader.start()

    def said() -> str:
        reader.join(1)  # processes that live on hold the other end
        return "".join(lines)

    return said


def victim(launcher: int, moments: random.Random) -> int:
    """A process to kill: three times in four that of a job, else any that the launcher started, or itself."""
    found, waiting = [launcher], [launcher]
    while waiting:
        below = children(waiting.pop())
        found += below
        waiting += below
    scripts = [
        pid for pid in found if b"\0secateur\0" in cmdline(pid) and not cmdline(pid).startswith(b"/usr/bin/bash")
    ]
    return moments.choice(scripts if scripts and moments.random() < 0.75 else found)


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
