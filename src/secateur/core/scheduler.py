"""Snakemake's scheduler without the timers that pile up."""

import threading

from snakemake.scheduling.job_scheduler import JobScheduler


def one_timer() -> None:
    """Let Snakemake wait for the end of the span of --max-jobs-per-timespan once at a time.

    Each time that Snakemake 9.27 chooses jobs it starts a timer, after which it chooses again, and so on for as long as
    it runs: after 200 jobs it goes through the inputs of all waiting jobs a hundred times in such a span, which took
    most of a core, and its end waits for the timers. One timer that is on does what all of them do.
    """
    JobScheduler._schedule_reevalutation = _reevaluate


def _reevaluate(scheduler: JobScheduler, delay: float) -> None:
    def release() -> None:
        scheduler.secateur_timer = None
        scheduler._open_jobs.release()

    if getattr(scheduler, "secateur_timer", None) is None:
        scheduler.secateur_timer = threading.Timer(delay, release)
        scheduler.secateur_timer.daemon = True
        scheduler.secateur_timer.start()
