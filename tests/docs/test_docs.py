"""The docs say what is so: their Python runs, their commands parse, what they name exists, and the site builds."""

from __future__ import annotations

import re
import shlex
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from fm_audio.cli import ELSEWHERE, parser
from fm_audio.voices import list_voices

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "STYLE.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMED_PATH = re.compile(r"(?<![\w/])(?:fm_audio|docs|recipes|data_prep|tests)/[\w./-]+\.\w+")
ASIDE = {"merge", "--help"}  # what parsers of their own read, or none
EXAMPLES = {"fm_audio/backbones/conv.py"}  # a file that the page asks the reader to write


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def named(page: Path) -> set[str]:
    return set(re.findall(r"(?<![\w/.-])fm_audio(?:\.\w+)+", page.read_text(encoding="utf-8")))


def commands(page: Path) -> list[str]:
    """Command lines in bash blocks, one program each."""
    lines = [line.split(" #")[0] for block in blocks(page, "bash") for line in block.replace("\\\n", " ").splitlines()]
    return [part.strip() for line in lines for part in line.split("&&") if part.strip()]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.name)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, in one namespace. What loads a shipped voice runs wherever one ships."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    ships = bool(list_voices())
    for block in blocks(page, "python"):
        if ships or not re.search(r"\bload\(|\bvoice\.", block):
            exec(compile(block, page.name, "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_what_is_named_exists(page: Path) -> None:
    for dotted in named(page) - {"fm_audio.backbones.conv"}:
        assert resolves(dotted), f"{page.name} names {dotted}"
    for path in NAMED_PATH.findall(page.read_text(encoding="utf-8")):
        assert path in EXAMPLES or (ROOT / path).exists(), f"{page.name} names {path}"


def resolves(dotted: str) -> bool:
    parts = dotted.split(".")
    for i in range(len(parts), 0, -1):
        try:
            found: Any = import_module(".".join(parts[:i]))
        except ModuleNotFoundError:
            continue
        for name in parts[i:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


@pytest.mark.parametrize("page", [p for p in PAGES if commands(p)], ids=lambda p: p.name)
def test_commands_are_commands(page: Path) -> None:
    for line in commands(page):
        program, *rest = shlex.split(line)
        if program.endswith("fm-audio") and rest[0] not in ELSEWHERE:
            parser().parse_args(rest)
        elif program.endswith("fm-audio"):
            own = getattr(import_module(ELSEWHERE[rest[0]][0]), "parser", None)
            if own is not None and rest[1] not in ASIDE:
                own().parse_args([part for part in rest[1:] if part != "REFERENCES"])  # stands for what the page says
        if program == "python" and rest[:1] == ["-m"]:
            assert (ROOT / f"{rest[1].replace('.', '/')}.py").is_file(), line


def test_every_command_is_in_the_docs() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for command in ["say", "voices", *ELSEWHERE]:
        assert re.search(rf"^## .*\b{command}\b", page, flags=re.M), command


def test_ci_finds_the_test_command() -> None:
    line = re.compile(r"^python3 -m venv .*\.venv/bin/pytest -n auto --maxprocesses 8 --dist loadfile$", re.M)
    assert len(line.findall((ROOT / "README.md").read_text(encoding="utf-8"))) == 1


def test_the_site_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strictly: a dead link, a page outside the navigation or a name that the API page cannot find stops it."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.chdir(ROOT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"), strict=True))
    assert (tmp_path / "site" / "api" / "index.html").is_file()
