"""Words that stop a reader do not come back: docs/glossary.md has those to use."""

from __future__ import annotations

import ast
from collections import Counter

from tests.test_architecture import PACKAGES, modules_of

LEFT = {"because": 12, "found": 182, "given": 50, "sign": 10, "taken": 27}
"""How many variables and parameters still bear such a name instead of a noun. The numbers only get smaller."""


def names_of(source: str) -> list[str]:
    """Return the names that a module's variables and parameters bear, once for each assignment."""
    nodes = list(ast.walk(ast.parse(source)))
    stored = [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    return stored + [node.arg for node in nodes if isinstance(node, ast.arg)]


def test_variables_are_named_by_nouns() -> None:
    names = Counter(name for package in PACKAGES for path in modules_of(package) for name in names_of(path.read_text()))
    assert {word: names[word] for word in LEFT if names[word] > LEFT[word]} == {}


def test_a_name_is_seen() -> None:
    assert names_of("def f(sign):\n    found = sign") == ["found", "sign"]
