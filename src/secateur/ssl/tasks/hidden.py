"""The hidden states of a frozen upstream: computed once per clip, kept in memory, shared by all tasks.

States are kept in float16, which holds 3.3 digits of values up to 65504. Means over time are taken in float32 before.
What does not fit into the memory that may be used is computed again whenever it is asked for.
"""

import logging
from collections.abc import Iterable, Sequence

import torch

from secateur.core import progress
from secateur.core.errors import SecateurError
from secateur.speech.data import pad
from secateur.ssl.tasks.clips import RATE, Clip

BATCH_SECONDS = 16.0
GIGABYTE = 1 << 30


class Hidden:
    """Hidden states of clips.

    Args:
        upstream: see `secateur.ssl.tasks`; it is put into evaluation mode.
        memory: most bytes of hidden states to keep.
        rate: most frames a second; of an upstream that makes k times as many, k neighbours become one, side by side.
            None for the upstream's own rate.
        batch_seconds: most audio in a batch, padding included.
    """

    def __init__(
        self,
        upstream: torch.nn.Module,
        device: torch.device,
        memory: int = 8 * GIGABYTE,
        rate: float | None = None,
        batch_seconds: float = BATCH_SECONDS,
    ):
        self.upstream, self.device = upstream.to(device).eval(), device
        self.memory, self.rate, self.batch_seconds = memory, rate, batch_seconds
        self._frames: dict[str, torch.Tensor] = {}
        self._means: dict[str, torch.Tensor] = {}
        self._bytes = 0
        self.seconds_encoded = 0.0

    def prepare(self, clips: Iterable[Clip], frames: bool = True) -> None:
        """Compute what is not there yet of `clips`: their frames, as far as they fit, or only their means over time.

        Batches hold clips of similar length, and depend on `clips` and what was prepared before alone.
        """
        known = self._frames if frames else self._means
        wanted = {clip.id: clip for clip in clips if clip.id not in known}
        batches = _batches(sorted(wanted.values(), key=lambda clip: (clip.seconds, clip.id)), self.batch_seconds)
        for batch in progress.each(batches, len(batches), "hidden states"):
            if frames and self._bytes >= self.memory:
                logging.info("hidden states: %d bytes are kept, the rest is computed when needed", self._bytes)
                break
            self._encode(batch, frames)

    def frames(self, clips: Sequence[Clip]) -> list[torch.Tensor]:
        """The hidden states of each clip (L + 1, T, D), float16."""
        missing = [clip for clip in clips if clip.id not in self._frames]
        computed = self._encode(missing, self._bytes < self.memory) if missing else {}
        return [self._frames[clip.id] if clip.id in self._frames else computed[clip.id] for clip in clips]

    def means(self, clips: Sequence[Clip]) -> torch.Tensor:
        """The mean over time of each clip's hidden states (B, L + 1, D), float32."""
        self.prepare(clips, frames=False)
        return torch.stack([self._means[clip.id] for clip in clips])

    def passing(self, clips: Sequence[Clip], frames: bool) -> list[torch.Tensor]:
        """The hidden states (L + 1, T, D) of clips that are not met again, or their means over time: none is kept."""
        if not clips:
            return []
        return [_halved(name, state) if frames else state.mean(1).cpu() for name, state in self._states(clips).items()]

    def shape(self, clip: Clip) -> tuple[int, int]:
        """(L + 1, D): how many layers, how wide; `clip` is encoded to see."""
        layers, width = self.means([clip]).shape[1:]
        return layers, width

    def _encode(self, clips: Sequence[Clip], keep: bool) -> dict[str, torch.Tensor]:
        """The hidden states of clips in float16, by id; their means are kept, with `keep` the states, too."""
        computed = {}
        for name, state in self._states(clips).items():
            computed[name], self._means[name] = _halved(name, state), state.mean(1).cpu()
            if keep and name not in self._frames:
                self._frames[name] = computed[name]
                self._bytes += computed[name].numel() * computed[name].element_size()
        return computed

    @torch.no_grad()
    def _states(self, clips: Sequence[Clip]) -> dict[str, torch.Tensor]:
        """The hidden states (L + 1, T, D) of clips, float32, by id."""
        samples = [torch.from_numpy(clip.samples()) for clip in clips]
        lengths = torch.tensor([len(wave) for wave in samples])
        self.seconds_encoded += int(lengths.sum()) / RATE
        hidden, counts = self.upstream(pad(samples, 0.0).to(self.device), lengths.to(self.device))
        states = torch.stack([layer.float() for layer in hidden], dim=1)  # (B, L + 1, T, D)
        computed = {}
        for clip, state, count in zip(clips, states, counts.tolist(), strict=True):
            if count < 1:
                raise SecateurError(f"{clip.id}: too short for the upstream, which makes no frame of it; exclude it")
            state = state[:, :count]
            if self.rate is not None:
                state = joined(state, max(1, round(count / clip.seconds / self.rate)))
            computed[clip.id] = state
        return computed


def _halved(name: str, state: torch.Tensor) -> torch.Tensor:
    half = state.half().cpu()
    if not half.isfinite().all():
        raise SecateurError(f"{name}: the upstream's hidden states are not finite in float16; check its weights")
    return half


def joined(states: torch.Tensor, factor: int) -> torch.Tensor:
    """Every `factor` frames side by side: (L, T, D) → (L, ⌈T / factor⌉, factor·D); the last frame fills up."""
    missing = -states.shape[1] % factor
    states = torch.cat([states, states[:, -1:].expand(-1, missing, -1)], dim=1)
    return states.reshape(len(states), -1, factor * states.shape[2])


def _batches(clips: Sequence[Clip], budget: float) -> list[list[Clip]]:
    """Neighbours, sorted by length, as many as `budget` seconds hold with padding; at least one."""
    batches: list[list[Clip]] = []
    for clip in clips:
        if not batches or clip.seconds * (len(batches[-1]) + 1) > budget:
            batches.append([])
        batches[-1].append(clip)
    return batches
