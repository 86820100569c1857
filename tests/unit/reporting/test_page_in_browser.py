"""The report in a browser: it fits, loads nothing, sorts and filters tables, enlarges figures; anyone can use it."""

import pytest
from browser import Browser, axe, installed

SYSTEMS = "[...document.querySelectorAll('table')].find((table) => /^Loss|^All systems/.test(label(table)))"
LABEL = "const label = (table) => table.parentElement.getAttribute('aria-label');"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    return Browser(installed(), tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def page(finished):
    return finished / "report" / "index.html"


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_and_says_nothing_in_the_console(browser, page, width):
    script = "return [document.documentElement.scrollWidth, window.innerWidth, document.images.length];"
    (needed, there, images), said = browser.run(page, script, width)
    assert there == width and needed <= there and images and said == []
    script = "return [...document.images].filter((image) => !image.complete || !image.naturalWidth).length;"
    assert browser.run(page, script, width)[0] == 0


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_no_fault(browser, page, width, dark):
    script = f"""
        window.eval({axe()});
        const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
        const found = await window.axe.run(document, {{ resultTypes: ["violations"] }});
        return [dark, found.violations.map((one) => [one.id, one.impact, one.nodes.map((node) => node.html)])];
    """
    (is_dark, found), _ = browser.run(page, script, width, dark)
    assert is_dark == dark and found == []


def test_a_click_on_a_heading_sorts(browser, page):
    script = f"""{LABEL}
        const table = {SYSTEMS}, found = [];
        const place = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent.startsWith("WER"));
        const heading = table.tHead.rows[0].cells[place], values = () =>
            [...table.tBodies[0].rows].map((row) => parseFloat(row.cells[place].textContent));
        for (let times = 0; times < 2; times += 1) {{
            heading.querySelector("button").click();
            found.push([heading.getAttribute("aria-sort"), values()]);
        }}
        return found;"""
    (up, down), _ = browser.run(page, script)
    assert up == ["ascending", sorted(up[1])] and down == ["descending", sorted(up[1], reverse=True)]
    assert len(set(up[1])) > 1


def test_numbers_sort_as_numbers_and_what_is_missing_goes_last(browser, page):
    script = """
        const table = document.querySelector("table"), body = table.tBodies[0];
        body.replaceChildren();
        for (const [text, value] of [["9.5", "9.5"], ["–", null], ["1,200", "1200"], ["−3 [−4, 1]", null]]) {
            const row = body.insertRow(), cell = row.insertCell();
            cell.textContent = text;
            if (value) cell.dataset.value = value;
        }
        table.tHead.querySelector("button").click();
        return [...body.rows].map((row) => row.textContent);"""
    assert browser.run(page, script)[0] == ["−3 [−4, 1]", "9.5", "1,200", "–"]


def test_rows_are_filtered_by_words(browser, page):
    script = f"""{LABEL}
        const table = [...document.querySelectorAll("table")].find((one) => one.tBodies[0].rows.length > 7);
        const filter = table.parentElement.previousElementSibling, field = filter.querySelector("input");
        const rows = [...table.tBodies[0].rows], word = rows[2].cells[0].textContent.trim();
        field.value = word.toUpperCase();
        field.dispatchEvent(new window.Event("input"));
        const shown = rows.filter((row) => row.offsetHeight > 0).map((row) => row.textContent.includes(word));
        return [rows.length, shown, filter.textContent];"""
    (count, shown, said), _ = browser.run(page, script)
    assert 0 < len(shown) < count and all(shown) and said == f"{len(shown)} of {count} rows"


def test_figures_enlarge_and_tell_their_values(browser, page):
    script = """
        document.querySelector(".enlarge").click();
        const dialog = document.querySelector("dialog"), tip = dialog.querySelector(".tip");
        tip.dispatchEvent(new window.MouseEvent("click", { bubbles: true }));
        const seen = [dialog.open, tip.querySelector("title").textContent, dialog.querySelector("output").textContent];
        dialog.querySelector("button").click();
        return [...seen, dialog.open];"""
    (opened, value, told, after), said = browser.run(page, script)
    assert opened and not after and told == value and "[" in value and said == []
