"""Early exit: every utterance leaves the encoder at the intermediate CTC head that is sure enough of it."""
