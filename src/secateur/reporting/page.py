"""The report's template (Jinja2, escaped automatically) and its style sheet. They are source code, so that the
fingerprint of the report's stage covers them."""

STYLE = """
:root { --ink: #1c2024; --soft: #5b6470; --line: #dfe3e8; --tint: #f6f7f9; --link: #0b57a4; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0 auto; padding: 2.5rem 1.5rem 5rem; max-width: 76rem; background: #fff; color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .3rem; letter-spacing: -.015em; }
h2 { font-size: 1.4rem; margin: 3.2rem 0 .8rem; padding-top: .9rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p { margin: .5rem 0; max-width: 46rem; }
a { color: var(--link); text-decoration: none; }
a:hover, a:focus { text-decoration: underline; }
.soft { color: var(--soft); }
nav { margin: 1.4rem 0 0; display: flex; flex-wrap: wrap; gap: .3rem 1.3rem; font-size: .92rem; }
.warning { margin: 1.5rem 0; padding: .9rem 1.1rem; border: 2px solid #b3261e; border-radius: 6px;
  background: #fdf1f0; }
.warning strong { color: #8c1d18; }
.status { display: block; width: 100%; height: 18rem; margin-top: .7rem; border: 1px solid var(--line);
  background: #fff; }
.keys { display: grid; grid-template-columns: repeat(auto-fit, minmax(13.5rem, 1fr)); gap: .9rem; margin: 1.6rem 0; }
.key { padding: .9rem 1.1rem; border: 1px solid var(--line); border-radius: 6px; }
.key .name { color: var(--soft); font-size: .86rem; }
.key .value { font-size: 1.75rem; font-weight: 600; line-height: 1.25; font-variant-numeric: tabular-nums; }
.key .value small { white-space: nowrap; font-size: .95rem; font-weight: 400; color: var(--soft); }
.key .note { font-size: .84rem; color: var(--soft); }
dl.summary { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.4rem; margin: 1.2rem 0;
  padding: 1.1rem 1.3rem; background: var(--tint); border-radius: 6px; font-size: .95rem; }
dl.summary dt { color: var(--soft); }
dl.summary dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: .4rem 0; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .36rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: baseline; }
thead th { border-bottom: 2px solid #aab2bd; white-space: nowrap; }
tbody th { font-weight: 400; }
th, td { white-space: nowrap; }
.long { white-space: normal; min-width: 16rem; }
.number { text-align: right; }
tbody tr:hover { background: var(--tint); }
.uncertainty { color: var(--soft); font-size: .8rem; }
sup { font-size: .7rem; line-height: 0; }
.caption { font-size: .88rem; color: var(--soft); max-width: 52rem; }
figure { margin: 1.6rem 0 2.2rem; }
figure img { display: block; width: 100%; max-width: 56rem; height: auto; }
figcaption { font-size: .9rem; color: var(--soft); max-width: 52rem; margin-top: .4rem; }
figcaption strong { color: var(--ink); }
pre { padding: 1rem 1.2rem; background: var(--tint); border-radius: 6px; overflow-x: auto; font-size: .82rem;
  line-height: 1.45; }
summary { cursor: pointer; color: var(--link); }
@media (max-width: 40rem) {
  body { padding: 1.3rem 1rem 3rem; }
  dl.summary { grid-template-columns: 1fr; gap: .1rem; }
  dl.summary dd { margin-bottom: .6rem; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  a { color: inherit; }
  figure, tr, .key, dl.summary { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .scroll, pre { overflow: visible; }
  pre { white-space: pre-wrap; }
  table { font-size: 8pt; }
  th, td, thead th { white-space: normal; padding: .2rem .35rem; }
}
"""

TEMPLATE = """
{%- macro links(folder, files) -%}
{%- for file in files -%}
<a href="{{ (folder ~ "/" ~ file) | link }}">{{ file }}</a>{{ ", " if not loop.last }}
{%- endfor -%}
{%- endmacro -%}
{%- macro cell_body(cell, table) -%}
{%- if cell.value is none -%}
{{ cell.text or "–" }}
{%- else -%}
{%- if cell.sources | length == 1 -%}
<a href="{{ cell.sources[0] | link }}" title="{{ cell.sources[0] }}">{{ cell.number }}</a>
{%- elif cell.sources and cell.sources | length != cell.runs -%}
<a href="{{ ('tables/' ~ table ~ '.tsv') | link }}" title="made from {{ cell.sources | length }} files">
{{- cell.number }}</a>
{%- else -%}
{{ cell.number }}
{%- endif -%}
{%- if cell.uncertainty %} <span class="uncertainty">{{ cell.uncertainty }}</span>{% endif -%}
{%- if cell.runs > 1 and cell.sources | length == cell.runs %}
<sup>{% for source in cell.sources %} <a href="{{ source | link }}" title="{{ source }}">{{ loop.index }}</a>
{%- endfor %}</sup>{%- endif -%}
{%- endif -%}
{%- endmacro -%}
{%- macro show_table(table) %}
{%- for grid in table.grids %}
<h3>{{ grid.title }}</h3>
<div class="scroll"><table>
<thead><tr>
{%- for heading in grid.header -%}
<th scope="col"{% if loop.index0 >= grid.labels %} class="number"{% endif %}>{{ heading }}</th>
{%- endfor -%}
</tr></thead>
<tbody>
{%- for row in grid.rows %}
<tr>
{%- for cell in row -%}
{%- if loop.first -%}<th scope="row">{{ cell_body(cell, table.name) }}</th>
{%- elif loop.index0 >= grid.labels -%}<td class="number">{{ cell_body(cell, table.name) }}</td>
{%- else -%}<td{% if cell.text | length > 40 %} class="long"{% endif %}>{{ cell_body(cell, table.name) }}</td>
{%- endif -%}
{%- endfor -%}
</tr>
{%- endfor %}
</tbody>
</table></div>
{%- if grid.caption %}
<p class="caption">{{ grid.caption }}</p>
{%- endif %}
{%- endfor %}
{%- if table.grids %}
<p class="caption">This table as {{ links("tables", table.files) }}.</p>
{%- endif %}
{%- endmacro -%}
{%- macro show_figure(figure) %}
<figure>
<img src="{{ figure.data }}" alt="{{ figure.title }}. {{ figure.caption }}">
<figcaption><strong>{{ figure.title }}.</strong> {{ figure.caption }}
Drawn from {{ links("tables", figure.tables) }}.</figcaption>
</figure>
{%- endmacro -%}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<link rel="icon" href="data:,">
<style>{{ style }}</style>
</head>
<body>
<header>
<h1>{{ title }}</h1>
<p class="soft">Study <strong>{{ study }}</strong>, newest run {{ newest }}</p>
<nav aria-label="Sections">
{%- for section in sections %}<a href="#{{ section.id }}">{{ section.title }}</a>{% endfor -%}
<a href="#configuration">Configuration and files</a></nav>
</header>
<main>
{%- if so_far %}
<div class="warning" role="note"><strong>The run is not finished.</strong> This page was made at {{ so_far.made }} of
what was there: {{ so_far.parts | join(", ") }}. Rows are missing, and so are comparisons and claims that rest on them;
intervals and verdicts may change. The report takes its place in the end. Where the run stands:
<iframe class="status" src="{{ so_far.status }}" title="Where the run stands"></iframe></div>
{%- endif %}
{%- if notes %}
<p>{{ notes }}</p>
{%- endif %}
{%- if synthetic %}
<div class="warning" role="note"><strong>Synthetic speech.</strong> Corpus {{ synthetic | join(", ") }} was spoken by a
machine, not by people. Its error rates show that the pipeline works; they say nothing about human speech.</div>
{%- endif %}
<div class="keys">
{%- for key in keys %}
<div class="key"><div class="name">{{ key.name }}</div>
<div class="value">{{ key.cell.number }}{{ key.unit }} <small>{{ key.cell.uncertainty }}</small></div>
<div class="note">{{ key.note }}</div></div>
{%- endfor %}
</div>
<dl class="summary">
{%- for name, text in summary %}
<dt>{{ name }}</dt><dd>{{ text }}</dd>
{%- endfor %}
</dl>
<p class="soft">Every number is a link to the file of the run that it came from; where several seeds were run, small
numerals link to each seed's file. Links work while this page lies in the study's folder.</p>

{%- for section in sections %}
<section id="{{ section.id }}">
<h2>{{ section.title }}</h2>
{%- for figure in section.figures %}{{ show_figure(figure) }}{% endfor %}
{%- for table in section.tables %}{{ show_table(table) }}{% endfor %}
</section>
{%- endfor %}

<section id="configuration">
<h2>Configuration and files</h2>
<p>All tables as tab-separated values:</p>
<dl class="summary">
{%- for table in tables %}
<dt>{{ links("tables", [table.file]) }}</dt><dd>{{ table.caption }}</dd>
{%- endfor %}
</dl>
<p>The figures: {{ links("figures", figures) }}.</p>
<details><summary>The study's configuration, defaults filled in</summary>
<pre>{{ configuration }}</pre></details>
</section>
</main>
</body>
</html>
"""
