"""Intervals, comparisons and verdicts: what a study's numbers can and cannot tell apart."""
