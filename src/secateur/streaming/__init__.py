"""Streaming as its users feel it: delays, time of a piece and memory of transducers, before and after pruning."""
