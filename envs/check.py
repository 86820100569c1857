"""Say whether the active environment has what the code needs: `make … VENV=none` runs this before anything else.

The ranges are those of pyproject.toml, and ESPnet with the few packages that our part of it imports. With the standard
library of any Python from 3.11 on; what is missing is named, and nothing is installed.
"""

import os
import shutil
import sys
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ESPNET = ["espnet==202511", "typeguard", "editdistance"]
"""Not in pyproject.toml: ESPnet's own requirements conflict with torch's, so it is installed without them."""


def main() -> None:
    """End with a list of what is wrong, if anything is."""
    found = problems([*requirements(ROOT / "pyproject.toml"), *ESPNET])
    if found:
        lines = "\n".join(f"  {problem}" for problem in found)
        sys.exit(
            f"error: the active environment ({sys.executable}) lacks what the code needs:\n{lines}\n"
            "Install it there (ESPnet with pip install --no-deps), or leave VENV=none out: then make sets up .venv."
        )


def requirements(file: Path) -> list[str]:
    """What the project needs, with ranges."""
    return tomllib.loads(file.read_text(encoding="utf-8"))["project"]["dependencies"]


def problems(needed: list[str]) -> list[str]:
    """What is missing or of another version than is needed, each in a line."""
    found = []
    if python := other_python():
        found.append(python)
    try:
        from packaging.requirements import Requirement
    except ModuleNotFoundError:
        return [*found, "packaging: missing, so that no version can be compared"]
    for requirement in map(Requirement, needed):
        if requirement.marker and not requirement.marker.evaluate():
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            found.append(f"{requirement.name}{requirement.specifier}: missing")
            continue
        if not requirement.specifier.contains(version.partition("+")[0], prereleases=True):
            found.append(f"{requirement.name}{requirement.specifier}: {version} is installed")
    return found


def other_python() -> str:
    """What is wrong if `python`, which jobs call, is not this interpreter."""
    folder = Path(sys.executable).parent
    found = shutil.which("python", path=f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    if found and os.path.samefile(found, sys.executable):
        return ""
    return (
        f"python: {found or 'missing'}, which jobs call, is not {sys.executable}; activate an environment that has it"
    )


if __name__ == "__main__":
    main()
