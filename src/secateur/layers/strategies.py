"""The names of the ways to choose layers (`secateur.layers.search`). No heavy imports."""

STRATEGIES = ("greedy", "svcca", "truncate", "random", "every-other")
