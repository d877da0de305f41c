"""Tells which tests are quick, for a first look at a change (``make test-fast``).

Read from the code of a test and of the fixtures that it uses, so that nobody keeps a list: a quick test starts no
process, browser, container or database server, and nothing that it calls in ``tests`` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from inspect import unwrap
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

STARTERS = frozenset({"subprocess", "multiprocessing", "playwright"})
"""Whoever uses one of these packages starts a process or a browser."""


def is_quick(item: pytest.Item) -> bool:
    """Return whether ``item`` belongs to the first look; of a test on both databases, the one on SQLite does."""
    # a test that has a time-out of its own is a long one
    if any(item.get_closest_marker(name) for name in ("requires_component", "containers", "slow", "timeout")):
        return False
    if hasattr(item, "callspec") and "postgresql" in item.callspec.params.values():
        return False
    return stays_within(item)


def stays_within(item: pytest.Item) -> bool:
    """Return whether neither ``item`` nor a fixture that it uses starts a process or a browser."""
    if not isinstance(item, pytest.Function):
        return False
    fixtures = [one.func for found in item._fixtureinfo.name2fixturedefs.values() for one in found]
    return not any(_starts(unwrap(function)) for function in (item.function, *fixtures))


@cache
def _starts(function: Any) -> bool:
    """Return whether ``function`` uses a starter, or anything of ``tests`` that does."""
    seen: set[int] = set()
    waiting = [function]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        for code, namespace in _codes(thing):
            names = set(_names(code))
            if any(name.partition(".")[0] in STARTERS for name in names):
                return True
            for value in _values(names, namespace):
                if _package(value) in STARTERS:
                    return True
                if _package(value) == "tests":
                    waiting.append(value)
    return False


def _codes(thing: Any) -> Iterator[tuple[CodeType, dict[str, Any]]]:
    """Give the code of a function, or of all that a class defines and inherits."""
    if isinstance(thing, FunctionType):
        yield unwrap(thing).__code__, thing.__globals__
    elif isinstance(thing, type):
        for part in thing.__mro__:
            for value in vars(part).values():
                plain = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
                if _package(part) == "tests" and isinstance(plain, FunctionType):
                    yield unwrap(plain).__code__, plain.__globals__


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _values(names: set[str], namespace: dict[str, Any]) -> Iterator[Any]:
    """Give what the names mean; of a module of ``tests``, those of its parts that are named too."""
    for name in names & namespace.keys():
        value = namespace[name]
        if isinstance(value, ModuleType) and _package(value) == "tests":
            yield from _values(names, vars(value))
        else:
            yield value


def _package(value: Any) -> str:
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return name.partition(".")[0] if isinstance(name, str) else ""
