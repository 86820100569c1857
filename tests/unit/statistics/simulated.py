"""Error counts with known effects: utterances, speakers and seeds drawn at random, for proofs by simulation."""

import numpy as np

from secateur.statistics.estimates import TestSet


def counts(generator, studies, seeds, utterances, rates, seed_spread=0.0, speakers=None, factor=None, factors=None):
    """Error counts (studies, seeds, utterances) of systems that truly make `rates` errors per word, and their test set.

    All systems read the same utterances, whose difficulty is skewed and partly that of their speaker. What is peculiar
    to an utterance in a system, and to a seed, are random factors with mean 1; that of a seed has a standard deviation
    of `seed_spread`, half of its variance shared by the systems. Errors are Poisson, anew in every seed. Instead, the
    factors of seeds can be given: one for all systems (`factor`), or one for each (`factors`).
    """

    def skewed(shape, *size):
        return generator.gamma(shape, 1 / shape, (studies, *size))

    def seed_factor():
        spread = seed_spread / np.sqrt(2)
        return np.exp(spread * generator.normal(size=(studies, seeds, 1)) - spread**2 / 2)

    words = generator.integers(4, 20, utterances)
    difficulty, shared = skewed(1.5, 1, utterances), seed_factor()
    names = None
    if speakers:
        names = np.arange(utterances) % speakers
        difficulty = difficulty * skewed(10, 1, speakers)[..., names]
    systems = []
    for place, rate in enumerate(rates):
        rates_of = rate * words * difficulty * skewed(3, 1, utterances)
        if factors is not None:
            of_seeds = factors[place] * np.ones((1, seeds, 1))
        else:
            of_seeds = factor if factor is not None else shared * seed_factor()
        systems.append(generator.poisson(rates_of * of_seeds))
    return systems, TestSet(words, speakers=names)
