"""How far a run is: by hand, and on simulated runs whose true speeds are far from what was expected."""

import argparse
import dataclasses
import io
import math
import random
import time

import pytest

from secateur.core import progress
from secateur.scripts import status
from secateur.watch import lines, live
from secateur.watch import plan as plans
from secateur.watch.forecast import BLOCKED, DONE, FAILED, RUNNING, WAITING, JobState, blocked, forecast, simulated
from secateur.watch.plan import Plan, PlannedJob
from secateur.watch.work import STARTS, TRAINING, Work

NOW = 1e9


def job(number, seconds=1.0, after=(), threads=1, priority=0, amount=10, key="a", kind=TRAINING, like=""):
    work = Work(key, kind, amount, seconds, like)
    return PlannedJob(
        number, "train", f"train {number}", f"logs/mine/{number}.log", after, threads, priority, work, (f"out{number}",)
    )


def plan(jobs, slots=2, **more):
    return Plan("mine", NOW, slots, True, 1, "here", tuple(jobs), **more)


def state(one, status=WAITING, **told):
    return JobState(one, status, told)


def states(*found):
    return {each.job.id: each for each in found}


def test_jobs_start_when_a_core_is_free_by_priority_and_after_what_they_wait_for():
    found = states(
        state(job(1)), state(job(2, priority=5)), state(job(3, after=(2,))), state(job(4, threads=2)), state(job(5))
    )
    seconds = {1: 4.0, 2: 1.0, 3: 2.0, 4: 1.0, 5: 1.0}
    # 2 and 1 begin; when 2 ends, 3 begins; then 5; 4 wants both cores, and gets them when 1 and 5 have ended.
    assert simulated(found, seconds, 2) == {2: 1.0, 3: 3.0, 1: 4.0, 5: 4.0, 4: 5.0}
    assert simulated(found, seconds, 1) == {2: 1.0, 1: 5.0, 3: 7.0, 4: 8.0, 5: 9.0}, (
        "one that wants more cores than there are gets all of them"
    )
    assert max(simulated(found, seconds, 100).values()) == 4.0


def test_the_share_is_weighted_by_work_and_not_by_jobs():
    start = STARTS[TRAINING]
    long, short = job(1, seconds=100.0, key="long"), job(2, seconds=1.0, key="short")
    # The short one took what was expected of it.
    done = state(short, DONE, started=NOW - 10 - start, ended=NOW)
    found = forecast(plan([long, short]), states(state(long), done), NOW)
    assert found.share == pytest.approx((10 + start) / (1010 + 2 * start), rel=0.01)
    assert found.seconds == pytest.approx(1000 + start, rel=0.01) and len(found.of(WAITING)) == 1


def test_a_job_that_runs_is_known_by_its_own_speed():
    """40 of 100 steps had been done before; 20 more took a minute; the last word is 10 s old."""
    one = job(1, seconds=0.1, amount=100)
    told = {"started": NOW - 90, "since": NOW - 70, "updated": NOW - 10, "first": 40, "done": 60, "of": 100}
    found = forecast(plan([one]), states(state(one, RUNNING, **told)), NOW)
    # Weighed against the 0.1 s that were expected: 60 s of evidence for 3 s, 10 s for 0.1 s times the same factor.
    assert 40 * 1.5 < found.left[1] + 10 < 40 * 3.0 + 0.1
    assert found.share == pytest.approx(1 - found.left[1] / (20 + 100 / 40 * (found.left[1] + 10)), rel=0.01)


def test_a_job_without_work_says_nothing_of_others():
    nothing, other = job(1, amount=0), job(2, key="b")
    before = forecast(plan([other]), states(state(other)), NOW)
    found = forecast(
        plan([nothing, other]), states(state(nothing, DONE, started=NOW - 5, ended=NOW), state(other)), NOW
    )
    assert found.left == before.left


def test_an_error_in_the_view_is_said_and_ends_nothing(tmp_path, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(live, "forecast", broken)
    monkeypatch.setattr(live, "SECONDS_TO_DRAW", 0.01)
    stream = io.StringIO()
    whole = plan([job(1)])
    (tmp_path / whole.logs).mkdir(parents=True)
    view = live.View(whole, stream, tmp_path)
    while stream.getvalue().count("by nothing") < 2:
        time.sleep(0.01)
    view.close()
    assert "Traceback" not in stream.getvalue()


def test_jobs_of_a_cluster_tell_of_themselves_and_another_shell_can_ask(tmp_path, capsys):
    """Snakemake hands a job over long before a node starts it; from then on the job writes beside its log."""
    whole = dataclasses.replace(plan([job(1), job(2)], slots=100), local=False, host="login", started=time.time())
    (tmp_path / whole.logs).mkdir(parents=True)
    plans.write(whole, tmp_path)
    view = live.View(whole, io.StringIO(), tmp_path)
    for one in whole.jobs:
        view.begun(one.id)
    status.run(argparse.Namespace(study=None, directory=tmp_path), {})
    assert "0 % done (0 of 2 jobs)" in (said := capsys.readouterr().out) and "train 1" not in said
    started = {"started": time.time() - 9, "since": time.time() - 5, "updated": time.time(), "host": "node7"}
    progress.write(tmp_path / whole.jobs[0].progress, started | {"unit": "steps", "first": 0, "done": 3, "of": 10})
    status.run(argparse.Namespace(study="mine", directory=tmp_path), {})
    assert "train 1: steps 3 of 10, " in (said := capsys.readouterr().out) and "train 2" not in said
    assert "ended" not in said, "whether Snakemake lives cannot be seen from another host"
    view.close()


def test_what_one_rule_took_says_little_of_another():
    """The first rule took ten times what was expected of it: so will its other job, and not that of another rule."""
    jobs = [job(1, like="a"), job(2, key="b", like="a"), job(3, key="c", like="c")]
    jobs += [job(number, key="d", like="d") for number in range(4, 8)]
    start = STARTS[TRAINING]
    long = state(jobs[0], DONE, started=NOW - 100 - start, ended=NOW)
    right = [state(one, DONE, started=NOW - 10 - start, ended=NOW) for one in jobs[3:]]
    left = forecast(plan(jobs, slots=1), states(long, *map(state, jobs[1:3]), *right), NOW)
    alike, other = left.left[2], left.left[3] - left.left[2]
    assert alike == pytest.approx(100, rel=0.1) and other < 50


def test_parts_of_a_decoding_count_alike():
    one = state(job(1), RUNNING, started=NOW, part=1, of_parts=4, done=5, of=10, first=0, since=NOW, updated=NOW)
    assert one.share == pytest.approx((1 + 0.5) / 4)


def test_what_waits_for_a_failed_job_is_no_longer_to_come():
    jobs = [job(1), job(2, after=(1,)), job(3, after=(2,)), job(4)]
    found = blocked(states(state(jobs[0], FAILED, started=NOW, ended=NOW), *map(state, jobs[1:])))
    assert [each.status for each in found.values()] == [FAILED, BLOCKED, BLOCKED, WAITING]
    parts = {"first": ["out3"], "second": ["out4"], "both": ["out3", "out4"], "there before": ["out9"]}
    whole = plan(jobs, parts=parts)
    seen = forecast(whole, found, NOW)
    due = seen.parts_due(whole)
    assert due["first"] is None and due["both"] is None and due["there before"] == 0
    assert due["second"] == pytest.approx(seen.seconds) and seen.left.keys() == {4}
    said = "\n".join(lines.block(whole, seen, NOW))
    assert "1 failed" in said and "failed: train 1, see logs/mine/1.log" in said
    assert "2 jobs wait for what failed" in said
    assert "next in the report: second" in said


def test_all_done_is_all():
    one = job(1)
    found = forecast(plan([one]), states(state(one, DONE, started=NOW, ended=NOW + 5)), NOW + 5)
    assert (found.share, found.seconds) == (1.0, 0.0) and lines.percent(found.share) == "100 %"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (43, "45 s"), (100, "2 min"), (3599, "60 min"), (5430, "1 h 30 min"), (200000, "2 d 8 h")],
)
def test_spans_of_time(seconds, said):
    assert lines.duration(seconds) == said


def test_nearly_done_is_not_done():
    assert lines.percent(0.9999) == "99 %"


@pytest.mark.parametrize("seed", range(4))
def test_the_time_left_is_right_within_a_quarter_after_a_tenth_of_the_run(seed):
    """Work of eight keys on a machine three to six times slower, each key off by up to a factor of two.

    A clock is advanced from forecast to forecast; jobs run as in `simulated`, with their true durations.
    """
    chance = random.Random(seed)
    machine = chance.uniform(3, 6)
    factors = {f"key{index}": machine * math.exp(chance.uniform(-0.7, 0.7)) for index in range(8)}
    jobs, true = [], {}
    for number in range(80):
        key = f"key{chance.randrange(8)}"
        after = tuple(chance.sample(range(number), min(number, 1))) if number % 3 else ()
        one = job(number, seconds=chance.choice([0.1, 0.3]), amount=chance.randrange(50, 400), key=key, after=after)
        jobs.append(one)
        true[number] = one.work.amount * one.work.seconds * factors[key] + STARTS[TRAINING] * machine
    ends = simulated(states(*map(state, jobs)), true, 2)
    whole, total = plan(jobs), max(ends.values())
    wrong = []
    for tenth in range(1, 10):
        clock = total * tenth / 10
        seen = {number: seen_at(one, ends[number], true[number], clock, machine) for number, one in enumerate(jobs)}
        found = forecast(whole, seen, NOW + clock)
        wrong.append((clock + found.seconds) / total - 1)
    assert max(map(abs, wrong)) < 0.25, wrong


def seen_at(one, end, took, clock, machine):
    """What a job that ends at `end` after `took` seconds has told at `clock`, both since NOW."""
    begin, start = end - took, STARTS[TRAINING] * machine
    if clock < begin:
        return state(one)
    told = {"started": NOW + begin}
    if clock >= begin + start:
        done = min(one.work.amount, one.work.amount * (clock - begin - start) / (took - start))
        told |= {"since": NOW + begin + start, "first": 0, "done": done, "of": one.work.amount}
        told |= {"updated": NOW + min(clock, end)}
    return state(one, DONE, **told, ended=NOW + end) if clock >= end else state(one, RUNNING, **told)
