"""Keys of a schedule that several methods have: JSON Schemas, as `Method.options` wants them."""

ADAPT_EVERY = {
    "description": "Steps between adaptations of a mask (n); for dynamic pathways, steps of the mask's language.",
    "type": "integer",
    "minimum": 1,
}
SOFT = {
    "description": "Between adaptations the forward pass uses whatever pruned weights have grown back to (regrow), or "
    "the masked weights with a straight-through gradient.",
    "enum": ["regrow", "straight_through"],
    "default": "regrow",
}
KEEP_MOMENTS = {
    "description": "Keep the optimiser's moments of weights that an adaptation prunes.",
    "type": "boolean",
    "default": False,
}
