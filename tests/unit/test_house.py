"""The house stands as it is drawn: data goes one way, files stay small, and what is not needed is not loaded."""

from __future__ import annotations

import ast
import builtins
import subprocess
import symtable
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fm_audio

PACKAGE = Path(fm_audio.__file__).parent
# A room imports itself and rooms of earlier floors.
FLOORS = [
    {"types", "rows"},
    {"audio", "layers", "lora", "checkpoint", "folders", "tokens", "recall"},
    {"hub", "extras"},
    {"bandwidth", "harmonics", "mel_distance", "zipformer", "codecs", "whispers"},
    {"flow", "data", "backbones", "encoders", "decoders"},
    {"tasks"},
    {"runtime"},
    {"voices"},
    {"training", "convert", "evaluation"},
    {"adapt"},
    {"commands"},
    {"serve", "cli"},
]
FLOOR = {room: i for i, rooms in enumerate(FLOORS) for room in rooms}
FLOW_MAY_IMPORT = {"types", "rows", "layers", "recall", "tokens", "flow"}
LIGHTNING_ROOMS = {"data", "training", "cli"}
TRAINING_ONLY = "lightning lhotse swift_f0 transformers librosa peft jsonargparse matplotlib jiwer tensorboard".split()

FILES = sorted(p.relative_to(PACKAGE) for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def room_of(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[str]:
    """Dotted names that a file imports anywhere, lazily too."""
    for node in ast.walk(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_data_goes_one_way(path: Path) -> None:
    room = room_of(path)
    assert room in FLOOR, f"{path}: a new room needs a floor in this test and in docs/concepts.md"
    for name in imports_of(path):
        package, _, rest = name.partition(".")
        if package != "fm_audio" or rest == "__version__":
            continue
        other = "voices" if rest in ("", "load", "Voice") else rest.partition(".")[0]
        assert other in FLOOR, f"{path}: imports {name}, which is no room"
        assert other == room or FLOOR[other] < FLOOR[room], f"{path}: {room} may not import {other}"
        assert room != "flow" or other in FLOW_MAY_IMPORT, f"{path}: flow knows nothing of {other}"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_lightning_stays_in_its_rooms(path: Path) -> None:
    uses = {name.split(".")[0] for name in imports_of(path)} & {"lightning", "pytorch_lightning"}
    assert not uses or room_of(path) in LIGHTNING_ROOMS


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_is_one_noun(path: Path) -> None:
    text = (PACKAGE / path).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 350, "look for the second noun"
    if path.name != "__init__.py":
        assert ast.get_docstring(ast.parse(text)), "begin with the sentence that says what the file is"


def undefined(source: str) -> set[str]:
    """Names that code uses and nothing defines: the linters do not look, since they take jaxtyping's shapes for such names."""
    top = symtable.symtable(source, "<source>", "exec")
    known = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    tables, missing = [top], set()
    for table in tables:
        tables += table.get_children()
        used = (s.get_name() for s in table.get_symbols() if s.is_referenced() and (s.is_global() or table is top))
        missing |= set(used) - known - set(dir(builtins)) - {"__file__"}
    return missing


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_name_is_defined(path: Path) -> None:
    assert undefined((PACKAGE / path).read_text(encoding="utf-8")) == set()


def test_names_that_are_not_defined_are_found() -> None:
    assert undefined("import a\nb = a.c\ndef f(d):\n    return [e for x in d if g(x, b)]") == {"e", "g"}


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_importing_the_package_loads_nothing_heavy() -> None:
    run("import sys, fm_audio; assert not {'torch', 'numpy'} & set(sys.modules)")


def test_help_loads_nothing_heavy() -> None:
    run(
        "import sys, fm_audio.cli\n"
        "try: fm_audio.cli.main(['say', '--help'])\n"
        "except SystemExit as e: assert e.code == 0\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )


def test_speaking_needs_the_core_install_only() -> None:
    blocked = "".join(f"sys.modules[{name!r}] = None\n" for name in TRAINING_ONLY)
    run(f"import sys\n{blocked}import fm_audio.voices, fm_audio.decoders.vocos, fm_audio.backbones.dit")


def test_everything_public_is_there() -> None:
    for name in fm_audio.__all__:
        assert getattr(fm_audio, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fm_audio.nothing  # noqa: B018
