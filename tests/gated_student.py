"""Options of a student that gates prune, and of others with the same teacher and objective."""

from secateur.ssl.options import GatedStudent, LayersStudent, LogAlpha, MagnitudeStudent

GATED = GatedStudent(distil=(1, 2), sparsity=0.5, lambda_rate=20.0, lambdas=(0.0, 30.0), train_extractor=False)
MAGNITUDE = MagnitudeStudent(distil=(1, 3), sparsity=0.5, train_extractor=False)
LAYERS = LayersStudent(distil=(1, 3), layers=2, train_extractor=False)


def starting_at(value: float) -> LogAlpha:
    """Gates of all kinds that start alike."""
    return LogAlpha(**dict.fromkeys(LogAlpha.__dataclass_fields__, value))
