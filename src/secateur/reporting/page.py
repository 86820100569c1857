"""The report's template (Jinja2, escaped automatically): source code, so that the fingerprint of the report's stage
covers it."""

TEMPLATE = """
{%- macro links(folder, files) -%}
{%- for file in files -%}
<a href="{{ (folder ~ "/" ~ file) | link }}">{{ file }}</a>{{ ", " if not loop.last }}
{%- endfor -%}
{%- endmacro -%}
{%- macro downloads(folder, files) -%}
{%- for file in files -%}
<a href="{{ (folder ~ "/" ~ file) | link }}" download>{{ file }}</a>{{ ", " if not loop.last }}
{%- endfor -%}
{%- endmacro -%}
{%- macro cell_body(cell, table) -%}
{%- if cell.value is none -%}
{{ (cell.text or "–") | code }}
{%- if cell.clip in clips %} <audio controls preload="none" src="{{ clips[cell.clip] }}"
 aria-label="Listen to {{ cell.clip.utterance }}"></audio>{% endif -%}
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
<div class="scroll" role="group" tabindex="0" aria-label="{{ grid.title }}">
<table{{ grid | width }}>
<thead><tr>
{%- for heading in grid.header -%}
<th scope="col"{% if loop.index0 >= grid.labels %} class="number"{% endif %}>{{ heading }}</th>
{%- endfor -%}
</tr></thead>
<tbody>
{%- for row in grid.rows %}
<tr>
{%- for cell in row -%}
{%- if loop.first -%}
<th scope="row"{% if cell.text | length > 28 %} class="long"{% endif %}>{{ cell_body(cell, table.name) }}</th>
{%- elif loop.index0 >= grid.labels -%}
<td class="number{% if cell.text | length > 28 %} long{% endif %}"
{%- if cell.value is not none %} data-value="{{ cell.value }}"{% endif %}>{{ cell_body(cell, table.name) }}</td>
{%- else -%}<td{% if cell.text | length > 28 %} class="long"{% endif %}>{{ cell_body(cell, table.name) }}</td>
{%- endif -%}
{%- endfor -%}
</tr>
{%- endfor %}
</tbody>
</table></div>
{%- if grid.caption %}
<p class="caption">{{ grid.caption | code }}</p>
{%- endif %}
{%- endfor %}
{%- if table.grids %}
<p class="caption">This table as {{ downloads("tables", table.files) }}.</p>
{%- endif %}
{%- endmacro -%}
{%- macro show_figure(figure) %}
<figure>
<img src="{{ figure.data }}" alt="{{ figure.title }}. {{ figure.caption | plain }}">
<figcaption><strong>{{ figure.title }}.</strong> {{ figure.caption | code }}
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
<a class="skip" href="#main">To the results</a>
<header>
<h1>{{ title }}</h1>
<p class="soft">Study <strong>{{ study }}</strong>, newest run {{ newest }}</p>
<nav aria-label="Sections">
{%- for section in sections %}<a href="#{{ section.id }}">{{ section.title }}</a>{% endfor -%}
<a href="#configuration">Configuration and files</a></nav>
</header>
<main id="main" tabindex="-1">
{%- if so_far %}
<div class="warning" role="note"><strong>The run is not finished.</strong> This page was made at {{ so_far.made }} of
what was there: {{ so_far.parts | join(", ") }}. Rows are missing, and so are comparisons and claims that rest on them;
intervals and verdicts may change. The report takes its place in the end. Where the run stands:
<iframe class="status" src="{{ so_far.status }}" title="Where the run stands"></iframe></div>
{%- endif %}
{%- if notes %}
<p>{{ notes | code }}</p>
{%- endif %}
{%- if synthetic %}
<div class="warning" role="note"><strong>Synthetic speech.</strong> Corpus {{ synthetic | join(", ") }} was spoken by a
machine, not by people. Its error rates show that the pipeline works; they say nothing about human speech.</div>
{%- endif %}
<div class="keys">
{%- for key in keys %}
<div class="key"><h2 class="name">{{ key.name }}</h2>
<div class="value">{{ key.cell.number or key.cell.text }}{{ key.unit }} <small>{{ key.cell.uncertainty }}</small></div>
{%- if key.system %}
<div class="system">{{ key.system }}</div>
{%- endif %}
<div class="note">{{ key.note | code }} <a href="#{{ key.link }}" aria-label="{{ key.name }}: more">More</a></div></div>
{%- endfor %}
</div>
<details class="run"><summary>What was run: data, models, budget, hardware, versions</summary>
<dl class="summary">
{%- for name, text in summary %}
<dt>{{ name }}</dt><dd>{{ text }}</dd>
{%- endfor %}
</dl>
</details>
<p class="soft">Every number is a link to the file of the run that it came from; where several seeds were run, small
numerals link to each seed's file. Links work while this page lies in the study's folder. A click on a heading
sorts a table by its column.</p>

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
<dt>{{ links("tables", [table.file]) }}</dt><dd>{{ table.caption | code }}</dd>
{%- endfor %}
</dl>
<p>The figures: {{ links("figures", figures) }}.</p>
<details><summary>The study's configuration, defaults filled in</summary>
<pre tabindex="0">{{ configuration }}</pre></details>
</section>
</main>
<script>{{ script }}</script>
</body>
</html>
"""
