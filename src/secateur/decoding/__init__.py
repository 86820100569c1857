"""From a model to words, their errors and the time that they took."""
