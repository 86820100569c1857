"""Keys of a schedule that several methods have: JSON Schemas, as `Method.options` wants them."""

ADAPT_EVERY = {
    "description": "Steps of a language between adaptations of its mask (n).",
    "type": "integer",
    "minimum": 1,
}
SOFT = {
    "description": "Between adaptations the forward pass uses whatever pruned weights have grown back to (regrow), or "
    "the masked weights, with a straight-through gradient that trains all that may be taken up; that sets nothing to "
    "zero before masks are fixed.",
    "enum": ["regrow", "straight_through"],
    "default": "regrow",
}
FREE_ZONE = {
    "description": "With regrow, an adaptation sets to zero all weights that no mask holds (zero), or only those that "
    "leave one, while others keep what they have grown to (keep).",
    "enum": ["zero", "keep"],
    "default": "zero",
}
MOMENTS = {
    "description": "AdamW's moments of weights that an adaptation sets to zero - keep them, clear the first one (the "
    "momentum), or clear both; what is cleared gets a bias correction of its own.",
    "enum": ["keep", "first", "clear"],
    "default": "keep",
}
DROP = {
    "description": "Share of the weights of a mask that is exchanged at first, which falls to zero (RigL's α).",
    "type": "number",
    "exclusiveMinimum": 0,
    "exclusiveMaximum": 1,
    "default": 0.3,
}
CALIBRATION = {
    "description": "Training utterances of a language that methods without training look at.",
    "type": "integer",
    "minimum": 1,
    "default": 32,
}
ADAPTING = {"adapt_every": ADAPT_EVERY, "soft": SOFT, "free_zone": FREE_ZONE, "moments": MOMENTS}
"""The keys of methods whose masks adapt."""
