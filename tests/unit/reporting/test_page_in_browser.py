"""The report in a browser: it fits, loads nothing, sorts and filters tables, enlarges figures; anyone can use it.

To start a browser takes long, so there are three visits, which do all that the tests look at.
"""

import pytest
from browser import Browser, axe, installed

LOOK = """
    window.eval(AXE);
    const found = await window.axe.run(document, { resultTypes: ["violations"] });
    return {
        widths: [document.documentElement.scrollWidth, window.innerWidth],
        broken: [...document.images].filter((image) => !image.complete || !image.naturalWidth).map((one) => one.alt),
        images: document.images.length,
        dark: window.matchMedia("(prefers-color-scheme: dark)").matches,
        faults: found.violations.map((one) => [one.id, one.impact, one.nodes.map((node) => node.html)]),
    };
"""
USE = """
    const label = (table) => table.parentElement.getAttribute("aria-label"), answer = {};
    const tables = [...document.querySelectorAll("table")];

    const systems = tables.find((table) => label(table).startsWith("All systems")), headings = systems.tHead.rows[0];
    const place = [...headings.cells].findIndex((cell) => cell.textContent.startsWith("WER"));
    const values = () => [...systems.tBodies[0].rows].map((row) => parseFloat(row.cells[place].textContent));
    answer.sorted = [0, 1].map(() => {
        headings.cells[place].querySelector("button").click();
        return [headings.cells[place].getAttribute("aria-sort"), values()];
    });

    const long = tables.find((table) => table.tBodies[0].rows.length > 7), rows = [...long.tBodies[0].rows];
    const filter = long.parentElement.previousElementSibling, field = filter.querySelector("input");
    const word = rows[2].cells[0].textContent.trim();
    field.value = word.toUpperCase();
    field.dispatchEvent(new window.Event("input"));
    answer.filtered = {
        rows: rows.length,
        shown: rows.filter((row) => row.offsetHeight > 0).map((row) => row.textContent.includes(word)),
        said: filter.textContent,
    };

    document.querySelector(".enlarge").click();
    const dialog = document.querySelector("dialog"), tip = dialog.querySelector(".tip");
    tip.dispatchEvent(new window.MouseEvent("click", { bubbles: true }));
    answer.enlarged = [dialog.open, tip.querySelector("title").textContent, dialog.querySelector("output").textContent];
    dialog.querySelector("button").click();
    answer.enlarged.push(dialog.open);

    const body = tables[0].tBodies[0];
    body.replaceChildren();
    for (const [text, value] of [["9.5", "9.5"], ["–", null], ["1,200", "1200"], ["−3 [−4, 1]", null]]) {
        const cell = body.insertRow().insertCell();
        cell.textContent = text;
        if (value) cell.dataset.value = value;
    }
    tables[0].tHead.querySelector("button").click();
    answer.mixed = [...body.rows].map((row) => row.textContent);
    return answer;
"""


@pytest.fixture(scope="module")
def visits(finished, tmp_path_factory):
    """What was seen on a phone, on a dark desktop, and while the page was used; and all console messages."""
    page, browser = finished / "report" / "index.html", Browser(installed(), tmp_path_factory.mktemp("browser"))
    look = LOOK.replace("AXE", axe())
    found = {"phone": browser.run(page, look, 390), "desktop": browser.run(page, look, 1280, dark=True)}
    found["used"] = browser.run(page, USE, 1280)
    return {name: seen for name, (seen, _) in found.items()}, [line for _, said in found.values() for line in said]


def test_it_says_nothing_in_the_console(visits):
    assert visits[1] == []


@pytest.mark.parametrize(("name", "width", "dark"), [("phone", 390, False), ("desktop", 1280, True)])
def test_it_fits_and_axe_finds_no_fault(visits, name, width, dark):
    seen = visits[0][name]
    assert (seen["dark"], seen["broken"]) == (dark, []) and seen["images"] > 3
    assert seen["widths"][1] == width and seen["widths"][0] <= width
    assert seen["faults"] == []


def test_a_click_on_a_heading_sorts(visits):
    up, down = visits[0]["used"]["sorted"]
    known = [value for value in up[1] if value is not None]
    missing = [None] * (len(up[1]) - len(known))  # in a row of an A/A test
    assert up == ["ascending", sorted(known) + missing]
    assert down == ["descending", sorted(known, reverse=True) + missing]
    assert len(set(known)) > 1


def test_numbers_sort_as_numbers_and_what_is_missing_goes_last(visits):
    assert visits[0]["used"]["mixed"] == ["−3 [−4, 1]", "9.5", "1,200", "–"]


def test_rows_are_filtered_by_words(visits):
    found = visits[0]["used"]["filtered"]
    assert 0 < len(found["shown"]) < found["rows"] and all(found["shown"])
    assert found["said"] == f"{len(found['shown'])} of {found['rows']} rows"


def test_figures_enlarge_and_tell_their_values(visits):
    opened, value, told, after = visits[0]["used"]["enlarged"]
    assert opened and not after and told == value and ":" in value
