"""What a study has on S4's claims: scores over tasks, sizes and times of pruned encoders."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from secateur.decoding.timing import time_ratio
from secateur.reporting import evidence, published
from secateur.reporting.claims import Claim, Finding, Missing, Part
from secateur.reporting.results import Results
from secateur.reporting.times import over_models, timed_over
from secateur.ssl import study as upstreams
from secateur.ssl.limits import APART
from secateur.ssl.measured import EncoderTimes
from secateur.ssl.options import FINE, WHOLE_HEADS
from secateur.ssl.scales import SUPERB, Scale, by_task, scale_of, score_error, scored, superb_scale
from secateur.ssl.study import TEACHER, ZEROS, UpstreamRun
from secateur.ssl.tables import blocks_of
from secateur.statistics.estimates import Estimate, over_seeds
from secateur.study.margins import margins

Entry = Mapping[str, Any]
SCALE = "points of the score"
LEFT = 0.28
"""The share of its parameters that S4 leaves of WavLM Base."""
ALIKE = 0.1
"""By how much sizes may differ to count as equal."""
SEEDS = 3
"""Fewest trainings that claims about gates rest on."""
NO_TASK = "no task tells the teacher from log-mel features beyond chance: there is no score"


def w2v2_score() -> float:
    """What wav2vec 2.0 Base scores on SUPERB's scale."""
    return superb_scale().score(by_task(published.S4_SUPERB["w2v2 Base"]))


def comparable(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """The score of the pruned encoder, above that of wav2vec 2.0 Base, where 72 % of it is gone.

    On a study's own scale, from log-mel features to its teacher, wav2vec 2.0 Base has no place.
    """
    for entry, student in _proposed(results):
        sizes = [_sizes(results, entry, seed) for seed in results.config["seeds"]]
        shares = [size[student] / size[TEACHER] for size in sizes]
        most = LEFT * (1 + ALIKE)
        lacking = []
        if max(shares) > most:
            lacking.append(f"{_name(entry, student)} keeps {max(shares):.0%} of its parameters, more than {most:.0%}")
        if _scale(results, entry, results.config["seeds"][0]).name != SUPERB:
            lacking.append(
                f"{entry['name']} is scored on the study's own scale, on which wav2vec 2.0 Base has no place: SUPERB's "
                "ten tasks on its own data would have one"
            )
        if lacking:
            yield Missing("; ".join(lacking))
            continue
        yield _scores(results, entry, student, None, above=w2v2_score(), files=_speed_files(results, entry))


def against(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """The score of the proposed encoder minus that of a `rival`; better, or no worse (`score_margin`)."""
    margin = margins(results.config).score_margin if claim.options.get("no worse") else 0.0
    for entry, student in _proposed(results):
        rival, why = _rival(entry, student, claim.options["rival"])
        if rival is None:
            yield Missing(f"{entry['name']} has no {why}")
            continue
        if claim.options["rival"] == "layers" and (why := _unlike(results, entry, student, rival)):
            yield Missing(why)
            continue
        doubt = "" if claim.options["rival"] == "layers" else _unsure(results, entry, student, rival)
        yield _scores(results, entry, student, rival, above=-margin, files=_speed_files(results, entry), doubt=doubt)


def ste_speed(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """Time with straight-through gradients in times of that without, at equal size; in WavLM base's, where timed."""
    for entry, student in _proposed(results):
        rival, why = _rival(entry, student, "ste")
        if rival is None:
            yield Missing(f"{entry['name']} has no {why}")
            continue
        if why := _unlike(results, entry, student, rival):
            yield Missing(why)
            continue
        base = upstreams.sizes(entry)[-1]
        times = [EncoderTimes(results, entry["name"], seed, base) for seed in results.config["seeds"]]
        number = over_models([time_ratio(one.rows(student), one.rows(rival)) for one in times])
        doubts = dict.fromkeys([_unsure(results, entry, student, rival), *(one.facts["doubt"] for one in times)])
        yield Finding(
            f"{_name(entry, student)}, with {rival}" + (", in WavLM base's size" if base else ""),
            [evidence.faster(number)],
            " ".join(one.source for one in times),
            len(times),
            len(times[0].facts["utterances"]),
            relative=100 * (number.value - 1),
            interval=timed_over(len(times)),
            doubt="; ".join(filter(None, doubts)),
        )


def top_layers(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """The mean layer of the parameters that are left, above the middle of the teacher's layers."""
    for entry, student in _proposed(results):
        places, files, middle = [], [], 0.0
        for seed in results.config["seeds"]:
            run = UpstreamRun(entry["name"], student, seed)
            left, source = blocks_of(results, entry, run)
            whole, _ = blocks_of(results, entry, UpstreamRun(entry["name"], TEACHER, seed))
            sums = {layer: attention + feed_forward for layer, attention, feed_forward in left}
            places.append(sum(layer * size for layer, size in sums.items()) / sum(sums.values()))
            middle = (len(whole) + 1) / 2
            files.append(source)
        seeds = len(places)
        part = Part("mean layer of what is left", over_seeds(places), above=middle, unit="layers")
        doubt = "one seed: where it prunes is chance of one training; run several seeds" if seeds == 1 else ""
        said = f"{_name(entry, student)}, with the middle of its layers"
        yield Finding(
            said, [part], " ".join(files), seeds, absolute=part.number.value - middle, interval="seeds", doubt=doubt
        )


def score(
    results: Results, entry: Entry, model: str, seed: int, rival: str | None = None
) -> tuple[float, float, Scale] | None:
    """Eq. 6 on the entry's scale, or by how much it is above a rival's, and its standard error (`score_error`).

    None where no task tells the two ends of the scale apart.
    """
    scale, tasks = _scale(results, entry, seed), _tasks(results, entry, model, seed)
    if not scale.tasks:
        return None
    value, other = scale.score(scored(tasks)), None
    if rival is not None:
        other = _tasks(results, entry, rival, seed)
        value -= scale.score(scored(other))
    return value, score_error(scale, tasks, other), scale


def _scale(results: Results, entry: Entry, seed: int) -> Scale:
    zeros = [_tasks(results, entry, zero, seed) for zero in ZEROS]
    return scale_of(entry["tasks"], zeros, _tasks(results, entry, TEACHER, seed))


def _tasks(results: Results, entry: Entry, model: str, seed: int) -> Mapping[str, Any]:
    """What the tasks measured of a model."""
    return results.json(UpstreamRun(entry["name"], model, seed).scores, "tasks")["tasks"]


def _unsure(results: Results, entry: Entry, *names: str) -> str:
    """Why students that differ in their gates cannot be told apart yet, or ""."""
    seeds = results.config["seeds"]
    doubts = [] if len(seeds) >= SEEDS else [f"{len(seeds)} of {SEEDS} seeds: another training may close other gates"]
    for name in names:
        for seed in seeds:
            record = results.json(f"{UpstreamRun(entry['name'], name, seed).folder}/run.json", "steps")
            expected, reached = record.get("expected_sparsity"), record.get("reached")
            if expected is not None and abs(expected - reached) > APART:
                doubts.append(f"the gates of {name} promised {expected:.1%} and {reached:.1%} was reached by rank")
    return "; ".join(dict.fromkeys(doubts))


def _scores(
    results: Results,
    entry: Entry,
    student: str,
    rival: str | None,
    above: float,
    files: Sequence[str],
    doubt: str = "",
) -> Finding | Missing:
    """The score of a student, or by how much it is above a rival's on the same test items."""
    found, errors, read = [], [], list(files)
    for seed in results.config["seeds"]:
        one = score(results, entry, student, seed, rival)
        if one is None:
            return Missing(f"{entry['name']}: {NO_TASK}")
        found.append(one[0])
        errors.append(one[1])
        scale = one[2]
        names = filter(None, (student, rival, *ZEROS, TEACHER))
        read += [UpstreamRun(entry["name"], name, seed).scores for name in names]
    number: Estimate = over_seeds(found, errors)
    where = "SUPERB's scale" if scale.name == SUPERB else "the study's own scale"
    said = _name(entry, student) + (f" with {rival}" if rival else "") + f", on {where}"
    said += f"; tasks {', '.join(scale.tasks)}"
    part = Part("score", number, above=above, unit=SCALE)
    interval = "seeds and test items" if len(found) > 1 else "test items, one model"
    source, value = " ".join(dict.fromkeys(read)), number.value
    return Finding(said, [part], source, len(found), absolute=value, interval=interval, doubt=doubt)


def _proposed(results: Results) -> Iterator[tuple[Entry, str]]:
    """The first student of every entry that is pruned as S4 proposes."""
    for entry in results.config["ssl"]:
        for student in entry["students"]:
            if upstreams.gated(student) and set(student["kinds"]) == set(FINE) and student["straight_through"]:
                yield entry, student["name"]
                break


def _rival(entry: Entry, student: str, kind: str) -> tuple[str | None, str]:
    """The student that differs from the proposed one in one thing, and that in words."""
    mine = upstreams.student_of(entry, student)
    for other in entry["students"]:
        gated = upstreams.gated(other)
        same = gated and other["sparsity"] == mine["sparsity"]
        if kind == "ste" and same and set(other["kinds"]) == set(FINE) and not other["straight_through"]:
            return other["name"], ""
        if kind == "fahp" and same and set(other["kinds"]) == set(WHOLE_HEADS) and other["straight_through"]:
            return other["name"], ""
        if kind == "layers" and other["type"] == "layers" and not (other.get("strategy") or other.get("depths")):
            return other["name"], ""
    return None, {
        "ste": f"student like {student} without straight-through gradients",
        "fahp": f"student like {student} with whole heads",
        "layers": "student of the teacher's first layers",
    }[kind]


def _unlike(results: Results, entry: Entry, student: str, rival: str) -> str:
    """Why two students are not of equal size, or ""."""
    sizes = [_sizes(results, entry, seed).get(one, 0) for one in (student, rival) for seed in results.config["seeds"]]
    if max(sizes) <= (1 + ALIKE) * min(sizes):
        return ""
    return f"{student} and {rival} of {entry['name']} differ in size: {min(sizes):,} to {max(sizes):,} parameters"


def _sizes(results: Results, entry: Entry, seed: int) -> dict[str, int]:
    """The parameters of the encoders that are timed, by name."""
    rows = results.json(upstreams.speed_file(entry["name"], seed, False), "models")["models"]
    return {row["model"]: row["parameters"] for row in rows}


def _speed_files(results: Results, entry: Entry) -> list[str]:
    return [upstreams.speed_file(entry["name"], seed, False) for seed in results.config["seeds"]]


def _name(entry: Entry, student: str) -> str:
    """A student in words; of a teacher that was given, there is one for all seeds."""
    return f"{student} of {entry['name']}" + (", whose teacher is one model for all seeds" if entry["folder"] else "")
