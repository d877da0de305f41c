"""One dialect over the whole code: how loggers, exceptions, citations and log lines are written (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from gateway_settings.log import RESERVED

ROOT = Path(__file__).resolve().parent.parent
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
RAISES_IN_PROSE = re.compile(r"(?<!:)\b[Rr]aises?\s+(?::class:)?`{0,2}~?(?:[\w.]+\.)?[A-Z]\w*[a-z]\w*")
RAISES = re.compile(r"^:raises ", re.MULTILINE)
RAISES_IN_FORM = re.compile(r"^:raises [\w.]+: \S", re.MULTILINE)
CITATION = re.compile(r"PS ?3\.\d+[^\n]{0,30}")
CITATION_IN_FORM = re.compile(
    r"PS3\.\d+(?:$|[^\s\w]| §[A-Z\d]| Annex(?:es)? [A-Z]| Tables? [A-Z\d]| CID \d| (?![Ss]ection|[A-Z]\.|\d)\S)"
)


@cache
def tracked(*patterns: str) -> tuple[Path, ...]:
    """Return the files of the repository, those too that are not committed yet."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return tuple(path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file())


@cache
def modules() -> dict[str, ast.Module]:
    """Return each module by its path, migrations that are history included."""
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in tracked("*.py")}


def nodes() -> Iterator[tuple[str, ast.AST]]:
    for name, tree in modules().items():
        for node in ast.walk(tree):
            yield f"{name}:{getattr(node, 'lineno', 1)}", node


def is_get_logger(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in {"logging.getLogger", "getLogger"}


def test_a_modules_logger_is_called_logger_and_is_the_modules() -> None:
    wrong = []
    for name, tree in modules().items():
        for node in tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and is_get_logger(node.value):
                text = ast.unparse(node).replace("getLogger(__name__)", "")
                if text not in {"logger = logging.", "logger = "}:
                    wrong.append(f"{name}:{node.lineno}: {ast.unparse(node)}")
    assert not wrong, "\n".join(wrong)


def test_an_exception_that_is_caught_is_called_error() -> None:
    wrong = [
        f"{place}: except … as {node.name}"
        for place, node in nodes()
        if isinstance(node, ast.ExceptHandler) and node.name not in {None, "error"}
    ]
    assert not wrong, "\n".join(wrong)


def test_a_docstring_tells_exceptions_in_one_form() -> None:
    """As fields of their own, ``:raises ValueError: when it is none.``, and not in a sentence."""
    wrong = []
    for place, node in nodes():
        text = ast.get_docstring(node) if isinstance(node, DOCUMENTED) else None
        if text is None or place.startswith("tests/"):
            continue
        wrong += [f"{place}: {found}" for found in RAISES_IN_PROSE.findall(text)]
        if len(RAISES.findall(text)) != len(RAISES_IN_FORM.findall(text)):
            wrong.append(f"{place}: {text}")
    assert not wrong, "\n".join(wrong)


def test_the_standard_is_cited_in_one_form() -> None:
    """`PS3.7 §9.3.2.3`, `PS3.4 Annex K`, `PS3.4 Table J.3-1`, `PS3.16 CID 9300`; a part alone is `PS3.6`."""
    wrong = []
    for path in tracked("*.py", "*.html", "*.js", "*.css", "*.md"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            wrong += [
                f"{path.relative_to(ROOT)}:{number}: {found}"
                for found in CITATION.findall(line)
                if not CITATION_IN_FORM.match(found) and path != Path(__file__)
            ]
    assert not wrong, "\n".join(wrong)


# --- log lines


def log_calls() -> Iterator[tuple[str, ast.Call]]:
    for place, node in nodes():
        if place.startswith(("tests/", "benchmarks/")) or not isinstance(node, ast.Call):
            continue
        function = node.func
        if not isinstance(function, ast.Attribute) or function.attr not in LEVELS:
            continue
        if ast.unparse(function.value) in {"logger", "self.log", "self.access_log", "where"}:
            yield place, node


def is_constant(node: ast.expr) -> bool:
    """Say whether a message is one of a few texts that stand in the code."""
    if isinstance(node, ast.IfExp):
        return is_constant(node.body) and is_constant(node.orelse)
    return isinstance(node, ast.Name) or (isinstance(node, ast.Constant) and "%" not in str(node.value))


def test_a_log_line_has_a_constant_message_and_named_fields() -> None:
    wrong = []
    for place, call in log_calls():
        message = call.args[1:] if isinstance(call.func, ast.Attribute) and call.func.attr == "log" else call.args
        extra = [keyword.value for keyword in call.keywords if keyword.arg == "extra"]
        if len(message) != 1 or not is_constant(message[0]):
            wrong.append(f"{place}: its message is not constant: {ast.unparse(call)}")
        if any(
            not (isinstance(value, ast.Dict) and [ast.unparse(k) for k in value.keys if k] == ["'fields'"])
            for value in extra
        ):
            wrong.append(f'{place}: its fields are not in extra={{"fields": …}}: {ast.unparse(call)}')
    assert not wrong, "\n".join(wrong)


def test_a_failure_that_is_logged_has_a_constant_message() -> None:
    wrong = [
        f"{place}: {ast.unparse(node)}"
        for place, node in nodes()
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "log_failure" and not is_constant(node.args[1])
    ]
    assert not wrong, "\n".join(wrong)


def test_no_field_takes_the_place_of_what_each_line_has() -> None:
    wrong = []
    for place, call in log_calls():
        named = {
            node.value for node in ast.walk(call) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        keys = {
            ast.literal_eval(key)
            for node in ast.walk(call)
            if isinstance(node, ast.Dict)
            for key in node.keys
            if isinstance(key, ast.Constant)
        }
        wrong += [f"{place}: {key}" for key in keys & named & RESERVED]
    assert not wrong, "\n".join(wrong)


# --- the checks themselves


@pytest.mark.parametrize(
    "text",
    ["Parse it; raise ValueError when it is none.", "Raises :class:`Refused`.", "It raises ``BadSetting``.",
     "Read; raise :class:`~dicom_listener.config.BadSetting` for it."],
)  # fmt: skip
def test_a_sentence_that_tells_an_exception_is_found(text: str) -> None:
    assert RAISES_IN_PROSE.search(text)


def test_a_sentence_without_an_exception_is_none() -> None:
    assert not RAISES_IN_PROSE.search(
        "Never raises. Raises what a peer can cause.\n:raises ValueError: when it is none."
    )


@pytest.mark.parametrize(
    "text", ["PS3.4 C.2.2.2", "PS3.5 6.2", "PS 3.5 §6.2", "PS3.18 section 14.4", "PS3.5 Section 6"]
)
def test_another_form_of_citation_is_found(text: str) -> None:
    assert CITATION.match(text)
    assert not CITATION_IN_FORM.match(text)


@pytest.mark.parametrize(
    "text", ["PS3.7 §9.3.2.3", "PS3.4 Annex K", "PS3.4 Table J.3-1", "PS3.16 CID 9300", "PS3.6", "PS3.7; it", "PS3.7's"]
)
def test_the_form_is_taken(text: str) -> None:
    assert CITATION_IN_FORM.match(text)
