"""Secateur: prune speech-recognition models and compare the results.

Read the modules in the order of the data: `corpora` → `features` → `tokens` → `models` → `training` → `pruning`
and `structured` → `decoding` → `scoring` → `similarity` → `timing` → `reporting`.
The package knows nothing of Snakemake, nor of paths under `results/`.
"""
