"""The names of the tasks (`secateur.ssl.tasks`), in the order of tables. No heavy imports."""

TASKS = ("ks", "ic", "pr", "asr", "er", "qbe", "sf", "sid", "sv", "sd")
