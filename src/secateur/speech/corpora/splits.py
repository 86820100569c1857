"""Dev and test sets for corpora that come without."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

from secateur.core.errors import SecateurError
from secateur.speech.datadir import Utterance

MINIMUM_WORDS = 3


def closed_vocabulary(utterances: Sequence[Utterance], dev: int, test: int) -> dict[str, list[Utterance]]:
    """Split `utterances` of one language so that every word of dev and test still occurs in train.

    Dev and test take only transcripts of at least `MINIMUM_WORDS` words; all utterances with one transcript go to one
    split. The choice depends on nothing but the ids and texts: transcripts are tried in the order of the SHA-256 of
    their first id. Where fewer than `dev + test` utterances can be held out, both sets shrink in proportion.

    Returns {"train": …, "dev": …, "test": …}, each in order of ids. Raises SecateurError if a set that was asked for
    stays empty.
    """
    by_text: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in sorted(utterances, key=lambda utterance: utterance.id):
        by_text[utterance.text].append(utterance)
    left = Counter(word for utterance in utterances for word in utterance.text.split())
    held_out: list[list[Utterance]] = []
    room = dev + test
    for group in sorted(by_text.values(), key=lambda group: hashlib.sha256(group[0].id.encode()).digest()):
        words = Counter(group[0].text.split() * len(group))
        if words.total() < MINIMUM_WORDS * len(group) or len(group) > room:
            continue
        if all(left[word] > count for word, count in words.items()):
            left -= words
            held_out.append(group)
            room -= len(group)

    chosen: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    found = dev + test - room
    size = found * test // max(dev + test, 1)
    for group in held_out:
        chosen["test" if len(chosen["test"]) + len(group) <= size else "dev"] += group
    for name, wanted in (("test", test), ("dev", dev)):
        if wanted and not chosen[name]:
            raise SecateurError(
                f"{name} set: only {found} of {len(utterances)} utterances can be held out (≥ {MINIMUM_WORDS} words, "
                f"all found elsewhere too), {dev} for dev and {test} for test are wanted; add data or ask for fewer"
            )
    taken = {utterance.id for group in held_out for utterance in group}
    chosen["train"] = [utterance for utterance in utterances if utterance.id not in taken]
    return {name: sorted(members, key=lambda utterance: utterance.id) for name, members in chosen.items()}
