"""What a study is: its configuration, runs, paths and checks. Imports nothing heavy."""
