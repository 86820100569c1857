"""A study as written in YAML: the schema, the defaults and all checks before anything runs."""
