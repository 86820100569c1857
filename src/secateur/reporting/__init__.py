"""Tables, figures and the HTML report of a study: what they share. What they are about is in the slices.

A slice declares tables and figures in modules of its folder `reports`, which are found by themselves (`registry`): the
specs (`table`, `figure`) name the functions that make rows, arrange them for reading, and draw. In the order of the
work: `results` (the files of a study, and what is read of them) → rows → `grid` and `views` (pivoted for reading) →
`render` (TSV, Markdown, LaTeX) → `drawing` (SVG) → `report` and `page` (HTML). A number enters through rows alone;
everything after them reads the TSV files.
"""
