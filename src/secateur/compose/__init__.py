"""Compositions: models that lost layers, heads and weights one after another, trained on between where it is asked."""
