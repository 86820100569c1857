"""The study as a whole: its data, and the error rates, time, size and training of every model, however it was made."""
