"""A headless browser for tests of pages. Chromium is installed where it is missing, if there is apt and root."""

import json
import os
import re
import shutil
import subprocess
from html import unescape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

PACKAGE = "chromium-headless-shell"
FOUND = re.compile(r'<pre id="found">(.*?)</pre>', re.S)
HARNESS = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Tests</title></head><body>
<iframe id="frame" src="{page}" style="width:{width}px;height:{height}px;border:0"></iframe>
<pre id="found"></pre>
<script>
const frame = document.getElementById("frame");
frame.addEventListener("load", async () => {{
  let found;
  try {{
    found = await (async (window, document) => {{ {script} }})(frame.contentWindow, frame.contentDocument);
  }} catch (error) {{ found = {{ error: String(error) }}; }}
  window.document.getElementById("found").textContent = JSON.stringify(found);
}});
</script></body></html>
"""


class Browser:
    """Opens pages at a width and runs scripts in them.

    Args:
        command: Chromium's.
        folder: for what it writes.
    """

    def __init__(self, command: str, folder: Path):
        self.command, self.folder = command, folder

    def run(self, page: Path, script: str, width: int = 1280, dark: bool = False) -> tuple[Any, list[str]]:
        """What `script` returns, a function's body with `window` and `document` of the page; and console messages."""
        harness = self.folder / "harness.html"
        harness.write_text(HARNESS.format(page=page.as_uri(), width=width, height=900, script=script), encoding="utf-8")
        flags = ["--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--enable-logging=stderr", "--v=0"]
        flags += ["--blink-settings=preferredColorScheme=0"] if dark else []
        flags += [f"--user-data-dir={self.folder}", "--virtual-time-budget=60000", "--window-size=1400,1000"]
        answer = subprocess.run(
            [self.command, *flags, "--dump-dom", harness.as_uri()], capture_output=True, encoding="utf-8", timeout=300
        )
        found = FOUND.search(answer.stdout)
        assert found and found[1], f"no answer: {answer.stdout[-2000:]} {answer.stderr[-2000:]}"
        result = json.loads(unescape(found[1]))
        assert "error" not in result, result["error"]
        said = [line for line in answer.stderr.splitlines() if ":CONSOLE" in line]
        return result, said


def installed() -> str:
    """Chromium's command. It is installed if it is missing; without apt or root, the test is skipped."""
    for name in (PACKAGE, "chromium"):
        if command := shutil.which(name):
            return command
    if not shutil.which("apt-get"):
        pytest.skip("no Chromium, and no apt-get to install it with")
    if os.getuid():
        pytest.skip(f"no Chromium, and no right to install it: apt-get install {PACKAGE}")
    for words in (["update"], ["install", "--yes", "--no-install-recommends", PACKAGE]):
        # Two processes of pytest may come here at once.
        answer = subprocess.run(["apt-get", "-o", "DPkg::Lock::Timeout=300", *words], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return PACKAGE


def axe() -> str:
    """The script of axe-core, which finds faults that keep people from using a page, as a literal of JavaScript."""
    found = find_spec("axe_core_python")
    assert found and found.origin, "axe-core-python is in envs/requirements.txt: run make venv"
    script = (Path(found.origin).parent / "axe.min.js").read_text(encoding="utf-8")
    return json.dumps(script).replace("</", "<\\/")
