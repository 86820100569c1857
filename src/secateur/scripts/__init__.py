"""The commands of `secateur`: one file each, arguments and files in, one call of the library.

A command is a module with a docstring, `add_arguments(parser)` and `run(arguments, record)`; `secateur.core.jobs.job`
runs it. The rules of the workflow call the same commands that people do.
"""
