"""Recordings that cannot be used, found before anything is computed from them: cut, not numbers, silenced by mixing."""

from collections.abc import Sequence

from secateur.core import progress
from secateur.core.errors import SecateurError
from secateur.speech import audio
from secateur.speech.datadir import Utterance


def unusable(utterances: Sequence[Utterance]) -> dict[str, str]:
    """What is wrong with recordings that cannot be used, by utterance. Every recording is examined once.

    A segment that ends before its recording breaks off can be used.
    """
    found: dict[tuple[str, int | None], tuple[float, float] | SecateurError] = {}
    broken = {}
    for utterance in progress.each(utterances, len(utterances), "recordings"):
        place = (utterance.audio, utterance.channel)
        if place not in found:
            try:
                found[place] = audio.examine(*place)
            except SecateurError as error:
                found[place] = error
        problem = found[place]
        if isinstance(problem, tuple):
            promised, decoded = problem
            lacks = decoded < min(promised, utterance.end or promised) - audio.SLACK
            problem = audio.cut(utterance.audio, promised, decoded) if lacks else None
        if problem:
            broken[utterance.id] = str(problem)
    return broken
