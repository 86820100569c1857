"""Layer pruning on demand: sub-models of one trained model, and which layers are safe to remove."""
