"""Batches of one language at a time."""

from secateur.speech.data import BatchPlan


class Turns:
    """Monolingual batches, the languages taking turns: each gets the same number of steps, however much data it has.

    Args:
        plan: of all languages, grouped by them.
    """

    def __init__(self, plan: BatchPlan):
        names = sorted(set(plan.groups.values()))
        members = {name: [key for key, group in plan.groups.items() if group == name] for name in names}
        self.plans = [
            BatchPlan({key: plan.lengths[key] for key in keys}, plan.budget, plan.seed, variants=plan.variants)
            for keys in members.values()
        ]

    def step(self, number: int) -> list[str]:
        """Keys of the batch of a step, counted from 0."""
        turn, language = divmod(number, len(self.plans))
        return self.plans[language].step(turn)
