"""Snakemake's logger plugin `secateur`: `snakemake --logger secateur` shows how far a run is instead of every job.

Snakemake finds plugins by the names of packages; what this one does is in `secateur.watch.live`.
"""

from secateur.watch.live import LogHandler

__all__ = ["LogHandler"]
