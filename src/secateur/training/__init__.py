"""Training: one step-based loop, the hooks that take part in it, and what acoustic trainings share."""
