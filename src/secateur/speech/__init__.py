"""Speech as data: audio, features, data directories, tokens and corpora."""
