"""How alike two layers are: SVCCA and linear CKA, from covariances that are summed up in one pass over the data.

A layer is the matrix of its outputs for the same n frames, X (n, D_x) and Y (n, D_y) with columns of mean zero.

SVCCA (Raghu et al. 2017, "SVCCA: singular vector canonical correlation analysis"): keep the fewest principal directions
of each layer that hold the given share of its variance (the squared singular values), and take the canonical
correlations of what is kept. With X'X = U Λ U', cut to those directions, they are the singular values of
Λ_x^(−1/2) U_x' (X'Y) U_y Λ_y^(−1/2): nothing but the products X'X, Y'Y and X'Y is needed. They are well determined,
since no direction that is kept holds less than (1 − variance) / D of its layer's variance.

Linear CKA (Kornblith et al. 2019, "Similarity of neural network representations revisited"): ‖X'Y‖² / (‖X'X‖·‖Y'Y‖) in
Frobenius norms.

Both lie between 0 and 1, are 1 for identical layers, and do not change when a layer is rotated, shifted or scaled as a
whole. The conventions where their definitions end:

- A neuron is dead if its standard deviation is below 10⁻¹² of its mean: that is rounding. It counts for nothing.
- A layer of dead neurons keeps no direction; it has no coefficients, and its similarity to every layer is 0.
- Of a layer that is not of full rank, only directions with variance can be kept: at most n − 1 from n frames.
- From few frames both are high whatever the layers are. The squared SVCCA coefficients of independent noise, of which
  k_x and k_y directions are kept, have an expected mean of max(k_x, k_y) / (n − 1), and if k_x + k_y > n − 1, at least
  k_x + k_y − (n − 1) coefficients are 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from secateur.core.errors import SecateurError

CHUNK = 1024  # frames in double precision at a time
DEAD = 1e-12  # standard deviation of a neuron over its mean
ROUNDING = 1e-12  # share of a layer's variance


@dataclass(frozen=True)
class SVCCA:
    """The similarity of all pairs of L layers.

    Attributes:
        kept: directions kept of each layer (L,).
        mean: mean canonical correlation of each pair (L, L), over as many as the smaller side has directions.
        coefficients: canonical correlations of layers i ≤ j, largest first: {(i, j): (min(kept_i, kept_j),)}.
    """

    kept: torch.Tensor
    mean: torch.Tensor
    coefficients: dict[tuple[int, int], torch.Tensor]


class Covariances:
    """Sums of products between all outputs of some layers, about their means, over all frames so far.

    Memory is about 4·(Σ D)² bytes, Σ D being the widths of all layers together, and does not grow with frames. The sums
    are in float64, on the device of the outputs. Each chunk of frames is centred by itself and merged by the rule of
    Chan, Golub & LeVeque (1983), so that a mean far from zero costs no digits.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.widths: list[int] = []
        self._mean = torch.zeros(0)
        # Row i: layer i with itself and all after it, (D_i, Σ_{j ≥ i} D_j).
        self._rows: list[torch.Tensor] = []

    def add(self, layers: Sequence[torch.Tensor], lengths: torch.Tensor) -> None:
        """Take in a batch.

        Args:
            layers: the output of every layer (B, T, D_l), on one device, always in the same order.
            lengths: frames of each utterance (B,); what stands beyond is padding, and ignored.

        Raises SecateurError when an output holds NaN or infinity.
        """
        widths = [layer.shape[-1] for layer in layers]
        if not self._rows:
            self._start(widths, layers[0].device)
        if widths != self.widths:
            raise ValueError(f"layers of widths {widths} after layers of widths {self.widths}")
        valid = [_valid(layer, lengths) for layer in layers]
        for start in range(0, len(valid[0]), CHUNK):
            self._merge([layer[start : start + CHUNK] for layer in valid])

    def svcca(self, variance: float = 0.99) -> SVCCA:
        """SVCCA of all pairs, of the directions that hold this share of each layer's variance."""
        if not 0 < variance <= 1:
            raise SecateurError(f"SVCCA cannot keep {variance} of the variance; the share must be above 0, at most 1")
        self._check()
        whitenings = [self._whitening(layer, variance) for layer in range(len(self.widths))]
        mean = torch.zeros(len(self.widths), len(self.widths), dtype=torch.float64)
        coefficients = {}
        for first, row in enumerate(self._rows):
            products = (whitenings[first].T @ row.cpu()).split(self.widths[first:], dim=1)
            for second, product in enumerate(products, first):
                curve = torch.linalg.svdvals(product @ whitenings[second]).clamp(max=1.0)
                coefficients[first, second] = curve
                if len(curve):
                    mean[first, second] = mean[second, first] = curve.mean()
        return SVCCA(torch.tensor([whitening.shape[1] for whitening in whitenings]), mean, coefficients)

    def cka(self) -> torch.Tensor:
        """Linear CKA of all pairs (L, L)."""
        self._check()
        squares = torch.zeros(len(self.widths), len(self.widths), dtype=torch.float64)
        alive = [self._alive(layer).double() for layer in range(len(self.widths))]
        for first, row in enumerate(self._rows):
            columns = alive[first] @ row.cpu().square() * torch.cat(alive[first:])
            for second, column in enumerate(columns.split(self.widths[first:]), first):
                squares[first, second] = squares[second, first] = column.sum()
        norms = squares.diagonal().sqrt()
        return (squares / torch.outer(norms, norms)).nan_to_num(0.0).clamp(max=1.0)

    def _start(self, widths: list[int], device: torch.device) -> None:
        self.widths = widths
        self._mean = torch.zeros(sum(widths), dtype=torch.float64, device=device)
        self._rows = [
            torch.zeros(width, sum(widths[layer:]), dtype=torch.float64, device=device)
            for layer, width in enumerate(widths)
        ]

    def _merge(self, parts: Sequence[torch.Tensor]) -> None:
        """Take in the same frames (n, D_l) of every layer."""
        count = len(parts[0])
        centred = self._mean.new_empty(count + 1, len(self._mean))
        frames = torch.cat(list(parts), dim=1, out=centred[:-1])
        mean = frames.mean(dim=0)
        if not mean.isfinite().all():
            layer = next(layer for layer, part in enumerate(mean.split(self.widths)) if not part.isfinite().all())
            raise SecateurError(
                f"output {layer + 1} of {len(self.widths)} holds NaN or infinity; train its model again or omit it"
            )
        frames -= mean
        shift, total = mean - self._mean, self.frames + count
        # What the distance of the two means adds to the sums is one more frame.
        centred[-1] = shift * (self.frames * count / total) ** 0.5
        self._mean += shift * (count / total)
        self.frames = total
        start = 0
        for width, row in zip(self.widths, self._rows, strict=True):
            row.addmm_(centred[:, start : start + width].T, centred[:, start:])
            start += width

    def _check(self) -> None:
        if self.frames < 2:
            raise SecateurError(f"layers cannot be compared on {self.frames} frames, at least 2 are needed; add some")

    def _alive(self, layer: int) -> torch.Tensor:
        """Which neurons of a layer vary (D,)."""
        mean = self._mean.split(self.widths)[layer].cpu()
        return self._rows[layer].diagonal().cpu() > self.frames * (DEAD * mean).square()

    def _whitening(self, layer: int, variance: float) -> torch.Tensor:
        """The matrix (D, kept) that turns a layer's outputs into its kept directions, each of sum of squares 1."""
        alive = self._alive(layer)
        products = self._rows[layer][:, : self.widths[layer]].cpu() * alive * alive[:, None]
        values, directions = torch.linalg.eigh(products)
        values, directions = values.flip(0).clamp(min=0.0), directions.flip(1)
        held = values.cumsum(0)
        if held[-1] == 0:
            return directions[:, :0]
        kept = int((held < held[-1] * variance * (1 - ROUNDING)).sum()) + 1
        return directions[:, :kept] / values[:kept].sqrt()


def _valid(layer: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The frames of a padded batch (B, T, D) that are not padding, (frames, D)."""
    if lengths.max() > layer.shape[1]:
        raise ValueError(f"an utterance of {int(lengths.max())} frames in a batch of {layer.shape[1]}")
    return layer[torch.arange(layer.shape[1], device=layer.device) < lengths.to(layer.device)[:, None]]
