"""What a study is: its runs, paths and commands, which every slice shares. Imports nothing heavy."""
