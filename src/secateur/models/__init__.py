"""Models by type, and their checkpoints.

A model is built from a plain dictionary (an entry of `models` or `language_models` in the configuration) and a token
list (`build`). A checkpoint is a folder with `model.safetensors` and `model.json`, which holds that dictionary and the
token list: it rebuilds its model by itself and loads strictly (`checkpoint`, `load`).

Every model answers `model(**tensors) -> (loss, statistics, weight)`, `weight` being the number of utterances, and
acoustic models also `model.encode(speech (B, T, F), lengths (B,)) -> (encoder_out (B, T', D), lengths (B,))`.
To add a type, write `secateur/models/{type}.py` with `build(config, tokens) -> Module`, and the literal SCHEMA with its
keys (`secateur.core.plugins`); its SECTION is `language_models` for a language model, and its PARTS say which searches
fit it (`secateur.models.types`).
"""
