# Run by Snakemake in the new environment, from the root of the clone.
set -e
python -m pip install --no-deps --no-build-isolation --editable .
