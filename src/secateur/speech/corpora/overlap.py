"""What the splits of a corpus share: recordings, which they must not, and sentences and speakers, which are counted."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product

import numpy as np

from secateur.core.errors import SecateurError
from secateur.speech import audio
from secateur.speech.datadir import Utterance

GLANCE_SECONDS = 0.1  # compared first, in the middle of recordings that are equally long

Members = Sequence[Utterance]


def shared_recordings(
    splits: Mapping[str, Members], headers: Mapping[str, audio.Header | None]
) -> Iterator[tuple[str, Utterance, str, Utterance]]:
    """Yield (place, utterance, place, utterance) for every two utterances of the same sound in two splits.

    Compared are the samples, whatever the files are called and how they are packed; segments of one recording are the
    same where they overlap. Two test sets may share recordings. Digital silence is nobody's.

    Args:
        splits: utterances by place, `language/split`.
        headers: by path; None for what cannot be read.
    """
    users: dict[str, list[tuple[str, Utterance]]] = defaultdict(list)
    for place, members in splits.items():
        for utterance in members:
            users[utterance.audio].append((place, utterance))
    groups: dict[object, list[str]] = defaultdict(list)
    for path in users:
        if header := headers.get(path):
            groups[header.frames, header.rate].append(path)
    for part in (_glance, _content):
        finer: dict[object, list[str]] = defaultdict(list)
        for key, paths in groups.items():
            if _clash(place for path in paths for place, _ in users[path]):
                for path in paths:
                    found = part(path, headers[path].seconds) if len(paths) > 1 else path
                    if found is not None:
                        finer[key, found].append(path)
        groups = finer
    for paths in groups.values():
        everyone = [user for path in paths for user in users[path]]
        by_place: dict[str, Members] = defaultdict(list)
        for place, utterance in everyone:
            by_place[place].append(utterance)
        for one, other in combinations(by_place, 2):
            if _clash((one, other)):
                for first, second in product(by_place[one], by_place[other]):
                    if _overlap(first, second):
                        yield one, first, other, second


def shared_sentences(members: Members, train: Members) -> int:
    """How many of `members` say what is said in `train`, too."""
    learnt = {utterance.text for utterance in train}
    return sum(utterance.text in learnt for utterance in members)


def shared_speakers(members: Members, train: Members) -> int:
    """How many speakers of `members` speak in `train`, too."""
    return len({utterance.speaker for utterance in members} & {utterance.speaker for utterance in train})


def _clash(places: Iterator[str] | Sequence[str]) -> bool:
    """Whether two of the places are different splits and not both test sets."""
    splits = {place.rpartition("/")[2] for place in places}
    return len(splits) > 1 and bool(splits & {"train", "dev"})


def _overlap(one: Utterance, other: Utterance) -> bool:
    if None not in (one.channel, other.channel) and one.channel != other.channel:
        return False
    start = max(one.start or 0.0, other.start or 0.0)
    return start < min(float("inf") if piece.end is None else piece.end for piece in (one, other))


def _glance(path: str, seconds: float) -> bytes | None:
    middle = seconds / 2
    return _hash(path, max(0.0, middle - GLANCE_SECONDS / 2), middle + GLANCE_SECONDS / 2)


def _content(path: str, seconds: float) -> bytes | None:
    return _hash(path, None, None)


def _hash(path: str, start: float | None, end: float | None) -> bytes | None:
    """A hash of the samples, to 16 bits; None for silence and for what cannot be read, which is told elsewhere."""
    try:
        samples = np.round(audio.read(path, start, end) * 32768).astype(np.int32)
    except SecateurError:
        return None
    return hashlib.sha256(samples.tobytes()).digest() if samples.any() else None
