"""Where a run stands, as small pages that a browser shows while the report is not there yet."""

import html
import time

from secateur.watch import lines
from secateur.watch.forecast import BLOCKED, FAILED, RUNNING, Forecast
from secateur.watch.plan import Plan

FOLDER, STATUS = "so-far", "status.html"
"""The folder of the page in the study's, and the page in it that says where the run stands."""
SECONDS_TO_RELOAD = 60
HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><meta name="color-scheme" content="light dark">{more}
<style>body {{ font: 16px/1.5 system-ui, sans-serif; margin: 1rem; max-width: 60rem; }} li {{ margin: .2rem 0; }}
iframe {{ border: 0; width: 100%; height: 75vh; }} .bad {{ color: #b3261e; }}</style></head>
"""


def status(plan: Plan, found: Forecast, now: float, over: bool) -> str:
    """What runs, what is still to come, what failed, and how to go on. `over`: the run has ended."""
    reload = "" if over else f'<meta http-equiv="refresh" content="{SECONDS_TO_RELOAD}">'
    again = f"make results STUDY={plan.study}"
    items = []
    if over:
        items.append(f"<p>The run has ended before all was done; the same command goes on: <code>{again}</code></p>")
    else:
        items.append(f"<p>{text(lines.summary(plan, found))} at {time.strftime('%H:%M', time.localtime(now))}.</p>")
    if failed := found.of(FAILED):
        rows = "".join(f"<li>{text(state.job.name)}: see <code>{text(state.job.log)}</code></li>" for state in failed)
        stuck = len(found.of(BLOCKED))
        items.append(
            f'<h2 class="bad">Failed</h2><ul>{rows}</ul><p>{stuck} jobs wait for what failed. When the cause is mended,'
            f" the same command goes on: <code>{again}</code></p>"
        )
    to_come = lines.to_come(plan, found)
    if to_come:
        due = {
            name: "waits for what failed" if seconds is None else "" if over else f"in {lines.duration(seconds)}"
            for name, seconds in to_come.items()
        }
        rows = "".join(f"<li>{text(name)}{text(f': {when}' if when else '')}</li>" for name, when in due.items())
        items.append(f"<h2>Still to come in the report</h2><ul>{rows}</ul>")
    running = [] if over else found.of(RUNNING)
    if running:
        rows = "".join(f"<li>{text(lines.job(state, found))}</li>" for state in running)
        items.append(f"<h2>Running</h2><ul>{rows}</ul>")
    return HEAD.format(title="Where the run stands", more=reload) + f"<body>{''.join(items)}</body></html>\n"


def first(plan: Plan) -> str:
    """The page before any system is there."""
    title = f"Study {plan.study}: begun"
    return (
        HEAD.format(title=text(title), more=f'<meta http-equiv="refresh" content="{SECONDS_TO_RELOAD}">')
        + f"<body><h1>{text(title)}</h1><p>No model has been decoded yet. Tables and figures come here with the first "
        f'dense model, and more after each system.</p><iframe src="{STATUS}" title="Where the run stands"></iframe>'
        "</body></html>\n"
    )


def text(value: str) -> str:
    return html.escape(value)
