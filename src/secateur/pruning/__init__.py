"""Unstructured pruning: masks, rankings, and the methods that train with them."""
