"""A streaming transducer in ONNX Runtime: speech comes in pieces, labels come out as soon as they can be known.

Needs numpy and onnxruntime alone. `secateur.decoding.streaming_export` writes the folder that it reads:

    encoder.onnx     the next segment of features with its look-ahead, how many frames of that there are, how many
                     segments were before, and the caches of all layers; the segment's output, its frames, new caches
    predictor.onnx   a label and the LSTM's state; what the joiner takes of it, and the new state
    joiner.onnx      a frame and a prefix; the logits
    stream.json      tokens, sizes of the pieces, shapes of the caches

The matrices of weights in the three files may be int8: what comes in and goes out is float32 all the same.

Search is greedy, as `secateur.decoding.transducer.Greedy` does it.
"""

import json
from pathlib import Path

import numpy as np

from secateur.decoding.sessions import session

ENCODER, PREDICTOR, JOINER, ABOUT = "encoder.onnx", "predictor.onnx", "joiner.onnx", "stream.json"
FILES = (ENCODER, PREDICTOR, JOINER)


class StreamingTransducer:
    """Transcribes one utterance after another, each fed piece by piece.

    Args:
        folder: the exported model.
        threads: of ONNX Runtime.
        max_symbols: most labels at one frame.

    Attributes:
        bytes: of the files.
        labels: of the utterance so far.
        outputs: encoder output so far, one array (T', D) a segment, where `keep` is set.
    """

    def __init__(self, folder: str | Path, threads: int = 1, max_symbols: int = 10, keep: bool = False):
        self.about = json.loads((Path(folder) / ABOUT).read_text(encoding="utf-8"))
        self.bytes = sum((Path(folder) / name).stat().st_size for name in FILES)
        self.max_symbols, self.keep = max_symbols, keep
        self._encoder, self._predictor, self._joiner = (session(Path(folder) / name, threads) for name in FILES)
        self.begin()

    def begin(self) -> None:
        """Begin an utterance."""
        about = self.about
        self.labels: list[int] = []
        self.outputs: list[np.ndarray] = []
        self._frames = np.zeros((0, about["bins"]), np.float32)
        self._segments = 0
        self._caches = {name: np.zeros(shape, np.float32) for name, shape in about["caches"].items()}
        self._state = [np.zeros(about["state"], np.float32) for _ in range(2)]
        self._prefix = self._predict(about["blank"])

    def accept(self, features: np.ndarray) -> list[int]:
        """Take the next features (T, F), any number; returns the labels that they lead to."""
        self._frames = np.concatenate([self._frames, features.astype(np.float32)])
        before = len(self.labels)
        while len(self._frames) >= self.about["chunk"]:
            self._segment()
        return self.labels[before:]

    def finish(self) -> list[int]:
        """The last labels: no more features will come."""
        before = len(self.labels)
        while len(self._frames):
            self._segment()
        return self.labels[before:]

    @property
    def cache_bytes(self) -> int:
        """What is kept between calls: it does not grow with the utterance."""
        return sum(value.nbytes for value in (*self._caches.values(), *self._state, self._frames))

    def text(self, labels: list[int] | None = None) -> str:
        """The words of some labels, by default of all, for a token list of characters or word pieces."""
        tokens = [self.about["tokens"][label] for label in (self.labels if labels is None else labels)]
        return "".join(" " if token == "<space>" else token.replace("▁", " ") for token in tokens).strip()

    def _segment(self) -> None:
        """Encode the next segment and search on in it."""
        about = self.about
        chunk = self._frames[: about["chunk"]]
        padded = np.zeros((1, about["chunk"], about["bins"]), np.float32)
        padded[0, : len(chunk)] = chunk
        counts = {"length": np.array([len(chunk)], np.int64), "segments": np.array(self._segments, np.int64)}
        names = [output.name for output in self._encoder.get_outputs()]
        found = dict(zip(names, self._encoder.run(None, {"features": padded} | counts | self._caches), strict=True))
        self._caches = {name: found[f"new_{name}"] for name in self._caches}
        self._segments += 1
        self._frames = self._frames[about["step"] :]
        output = found["output"][0, : int(found["frames"][0])]
        if self.keep:
            self.outputs.append(output)
        for frame in output:
            self._advance(frame)

    def _advance(self, frame: np.ndarray) -> None:
        """All labels at one frame."""
        for _ in range(self.max_symbols):
            (logits,) = self._joiner.run(None, {"frame": frame[None], "prefix": self._prefix})
            best = int(logits[0].argmax())
            if best == self.about["blank"]:
                return
            self.labels.append(best)
            self._prefix = self._predict(best)

    def _predict(self, label: int) -> np.ndarray:
        """What the joiner takes of the predictor after one more label."""
        given = {"label": np.array([[label]], np.int64), "hidden": self._state[0], "cell": self._state[1]}
        prefix, *self._state = self._predictor.run(None, given)
        return prefix
