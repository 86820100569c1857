# What a run is about to do, for those who watch it: see src/secateur/watch.
from functools import partial

from snakemake.logging import logger

from secateur.pruning import reach
from secateur.watch import parts as report_parts
from secateur.watch import plan as watched
from secateur.watch.expected import expected


onstart:
    if workflow.is_main_process:
        parts = report_parts.files_by_part(config, ROOT)
        watched.note(workflow, RESOURCES.all_cores, partial(expected, RESOURCES), config, parts)
        for doubt in reach.doubts(config, ROOT):
            logger.warning(doubt)
