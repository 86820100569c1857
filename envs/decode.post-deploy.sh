# Run by Snakemake in the new environment, from the root of the clone. ESPnet's stale bounds (setuptools < 74) stay out.
set -e
python -m pip install --no-deps espnet==202511
python -m pip install --no-deps --no-build-isolation --editable .
