import threading
import time

from snakemake.scheduling.job_scheduler import JobScheduler

from secateur.core import scheduler


def test_one_timer_at_a_time_which_ends_with_the_process(monkeypatch):
    monkeypatch.setattr(JobScheduler, "_schedule_reevalutation", JobScheduler._schedule_reevalutation)
    scheduler.one_timer()
    waiting = object.__new__(JobScheduler)
    waiting._open_jobs = threading.Semaphore(0)
    before = set(threading.enumerate())
    for _ in range(5):
        waiting._schedule_reevalutation(0.2)
    (timer,) = set(threading.enumerate()) - before
    assert timer.daemon
    assert waiting._open_jobs.acquire(timeout=10)
    time.sleep(0.3)
    assert not waiting._open_jobs.acquire(blocking=False)
    waiting._schedule_reevalutation(0.01)
    assert waiting._open_jobs.acquire(timeout=10)
