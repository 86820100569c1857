"""The command `secateur`: every step of the workflow by hand. `secateur NAME --help` says what a step takes."""

import ast
import difflib
import importlib
import sys
from pathlib import Path

from secateur.core.jobs import job

FOLDER = Path(__file__).parent / "scripts"
ESPNET = ("espnet", "espnet2", "typeguard", "editdistance")
"""ESPnet and what it imports. It cannot be a dependency of the package: its own requirements conflict with torch's."""
INSTALL_ESPNET = "pip install --no-deps espnet==202511 typeguard editdistance"


def main() -> None:
    """Run the command that the first argument names, with the other arguments."""
    known = names()
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(usage(known))
        sys.exit(0 if len(sys.argv) > 1 else 2)
    name = sys.argv[1]
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        sys.exit(f"error: secateur has no command {name!r}{meant}; known: {', '.join(known)}")
    try:
        module = importlib.import_module(f"secateur.scripts.{module_name(name)}")
        job(name, module.__doc__, module.add_arguments, module.run, sys.argv[2:])
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ESPNET:
            raise
        sys.exit(f"error: secateur {name} needs ESPnet; install it without its requirements: {INSTALL_ESPNET}")


def names() -> list[str]:
    """The commands: the files of the folder, with hyphens."""
    return sorted(file.stem.replace("_", "-") for file in FOLDER.glob("[a-z]*.py"))


def module_name(name: str) -> str:
    return name.replace("-", "_")


def usage(known: list[str]) -> str:
    """What `secateur --help` prints: every command with the first sentence of its description."""
    lines = ["usage: secateur COMMAND [options]; secateur COMMAND --help", ""]
    for name in known:
        tree = ast.parse((FOLDER / f"{module_name(name)}.py").read_text(encoding="utf-8"))
        lines.append(f"  {name:<18} {(ast.get_docstring(tree) or '').splitlines()[0]}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
