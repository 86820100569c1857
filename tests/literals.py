"""The texts in the sources, for tests of who knows what by name."""

import ast
import re
from pathlib import Path


def texts(file: Path) -> set[str]:
    """All texts of a Python file but for its docstrings, or what stands in quotes in a rule file."""
    if file.suffix == ".smk":
        return set(re.findall(r'"([^"\n]*)"', file.read_text()))
    tree = ast.parse(file.read_text())
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in statements
    }
