"""What s3prl's hub finds here. Each function takes the folder of an encoder as `ckpt`."""

from .expert import UpstreamExpert as _UpstreamExpert


def secateur(ckpt: str, *args, **kwargs) -> _UpstreamExpert:
    """An encoder of Secateur: a student, a teacher, or a folder of Hugging Face's."""
    return _UpstreamExpert(ckpt, *args, **kwargs)
