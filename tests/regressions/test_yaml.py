"""Values that YAML 1.1 takes for something else than was meant: the error says how to write them."""

import pytest
import yaml
from test_user_data import ROOT

from secateur.config.complete import complete
from secateur.core.errors import SecateurError

KALDI = "corpora: {mine: {recipe: kaldi, root: x, languages: [en]"
CASES = {
    "1e-3": ("training: {acoustic: {learning_rate: 1e-3}}", "acoustic.learning_rate: '1e-3'", "write 1.0e-3,"),
    "2.5e-4, plus": ("training: {acoustic: {learning_rate: 2.5e4}}", "'2.5e4'", "write 25000,"),
    "1E-7": ("training: {acoustic: {learning_rate: 1E-7}}", "'1E-7'", "write 1.0e-7,"),
    "an integer": ("training: {acoustic: {steps: 1e3}}", "acoustic.steps: '1e3'", "write 1000, without quotes"),
    "a quoted number": ("training: {acoustic: {steps: '100'}}", "acoustic.steps: '100'", "write 100, without quotes"),
    "in a list": ("seeds: [1, 1e1]", "seeds[1]: '1e1'", "write 10,"),
    "Norwegian": ("corpora: {mine: {recipe: kaldi, root: x, languages: [no]}}", "[0]: False", "quote the word: 'no'"),
    "yes": (f"{KALDI}, exclude: [yes]}}}}", "exclude[0]: True", "quote the word: 'yes'"),
    "a time": (f"{KALDI}, exclude: [12:30]}}}}", "exclude[0]: 750", "12:30 for 750"),
    "a date": (f"{KALDI}, exclude: [2024-01-02]}}}}", "[0]: datetime.date(2024, 1, 2)", "quote it: '2024-01-02'"),
    "home alone": ("corpora: {mine: {recipe: kaldi, root: ~, languages: [en]}}", "root: None", "quote it: '~'"),
    "one of a list": ("training: {acoustic: {schedule: off}}", "schedule: False", "quote the word: 'no'"),
    "a key": ("language_models: {char-lm: {text: {no: a.txt}}}", "the key False is no text", "quote the word: 'no'"),
    "a key that is a number": ("corpora: {2024: {recipe: kaldi}}", "2024: the key 2024", "quote what you wrote"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_yaml_makes_of_a_value_is_told_with_the_way_to_write_it(name):
    written, found, remedy = CASES[name]
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    for section, content in yaml.safe_load(written).items():
        for key, value in content.items() if isinstance(content, dict) else ():
            inner = config[section].get(key)
            config[section][key] = inner | value if isinstance(inner, dict) else value
        if not isinstance(content, dict):
            config[section] = content
    with pytest.raises(SecateurError) as error:
        complete(config)
    (line,) = [line for line in str(error.value).splitlines() if found in line]
    assert remedy in line and "; allowed: " in line
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["1.0e-3", "25000", "1.0e-7", "2.5e+22", "'no'", "'12:30'"])
def test_the_ways_that_are_told_are_right(text):
    value = yaml.safe_load(text)
    assert isinstance(value, str) == text.startswith("'")
