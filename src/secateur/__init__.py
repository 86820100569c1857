"""Secateur: prune speech-recognition models and compare the results.

A study is described in `config` and planned in `study`. Its work follows the data: `speech` → `models` → `training` →
`pruning`, `layers`, `heads`, `ssl`, `compose` → `exits`, `exported`, `streaming` → `decoding`. `statistics` says what
the numbers can tell, `overview` and `reporting` show them, and `watch` shows the run. `scripts` holds the commands,
and `core` what all of it stands on. The algorithms know nothing of studies.
"""
