"""What captions say of how sound times are."""

from secateur.reporting.times import on_gpu, soundness

SOUND = {"same": "1.01", "same_low": "0.98", "same_high": "1.03", "doubt": ""}


def test_a_caption_tells_of_every_a_a_test_once_and_of_its_doubts():
    """Rows of two groups, of which one is in doubt, and one that was not timed."""
    untimed = dict.fromkeys(SOUND, "")
    assert soundness([]) == soundness([untimed]) == ""
    told = "A/A: the same system timed twice takes 1.010 [0.980, 1.030] of its own time."
    assert soundness([SOUND, untimed, SOUND]) == told
    other = {"same": "1.1", "same_low": "1.05", "same_high": "1.2", "doubt": "the same model timed twice differs"}
    assert soundness([SOUND, other]) == (
        "A/A: the same system timed twice takes 1.010 [0.980, 1.030], 1.100 [1.050, 1.200] of its own time. "
        "These times are not to be relied on: the same model timed twice differs; claims that rest on them are "
        "undecided."
    )


def test_a_caption_says_where_no_time_is_of_a_gpu():
    assert on_gpu([{"device": "cpu"}, {"device": ""}]) == "On a GPU: not measured."
    assert on_gpu([{"device": "cpu"}, {"device": "NVIDIA H200"}]) == on_gpu([{"device": "cuda"}]) == ""
