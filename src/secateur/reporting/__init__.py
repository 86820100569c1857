"""Tables, figures and the HTML report of a study.

Read in this order: `results` (the files of a study) → `tables` (tidy TSV, and the registry of tables) → `grid` (tables
pivoted for reading) → `views` (which table is shown how) → `render` (Markdown, LaTeX) → `figures`, `drawing` and
`plots` (SVG) → `report` and `page` (HTML). A number enters through `tables` alone; everything after it reads the TSV
files. Tables of one subject are in modules of their own: `comparisons`, `multilingual`, `pruning`.
"""
