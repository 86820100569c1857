"""Batches of one language at a time."""

from secateur.speech.data import BatchPlan


class Turns:
    """Monolingual batches: the languages take turns, equal ones or such that each gets its share of the steps.

    Nothing is drawn: the language whose steps so far lag most behind its share comes next, the first of equals by
    name. So after any number of steps each language is within one of its due.

    Args:
        plan: of all languages, grouped by them.
        temperature: τ; a language's share goes with its audio to the power of 1/τ (Conneau & Lample 2019, section 3.1,
            who call the exponent α). None for equal shares, however much data each has.
    """

    def __init__(self, plan: BatchPlan, temperature: float | None = None):
        names = sorted(set(plan.groups.values()))
        members = {name: [key for key, group in plan.groups.items() if group == name] for name in names}
        self.plans = [
            BatchPlan({key: plan.lengths[key] for key in keys}, plan.budget, plan.seed, variants=plan.variants)
            for keys in members.values()
        ]
        sizes = [sum(part.lengths.values()) ** (1 / temperature) if temperature else 1.0 for part in self.plans]
        self.shares = [size / sum(sizes) for size in sizes]
        self._order: list[tuple[int, int]] = []  # language and its turn, of the steps so far
        self._counts = [0] * len(names)

    def step(self, number: int) -> list[str]:
        """Keys of the batch of a step, counted from 0."""
        while len(self._order) <= number:
            due = [share * (len(self._order) + 1) - done for share, done in zip(self.shares, self._counts, strict=True)]
            language = due.index(max(due))
            self._order.append((language, self._counts[language]))
            self._counts[language] += 1
        language, turn = self._order[number]
        return self.plans[language].step(turn)
