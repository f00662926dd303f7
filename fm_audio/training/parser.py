"""Recipes are parsed whole or refused: an unknown key, a wrong value or a missing file is one line that names the nearest key."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn

from lightning.pytorch.cli import LightningArgumentParser

from fm_audio.types import FmAudioError

_CLASS = re.compile(r"class_path '([\w.]+)'")
_REFUSED = re.compile(r"(?:Option '|does not accept option '|unrecognized arguments: --)([\w.]+)")
_GROUP = re.compile(r"Group '([\w.]+)' does not accept option '(\w+)'")
_NOISE = re.compile(r"^(Subtypes:|Given value|Expected a <class 'NoneType'>|Errors:|Does not validate)")
LONGEST = 300


class RecipeParser(LightningArgumentParser):
    """jsonargparse's parser, whose mistakes are `FmAudioError`s of one line instead of pages of usage."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # a parser inside another one, whose message becomes part of that one's
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        known = [action.dest for p in {id(parser): parser, **_subcommands(self)}.values() for action in p._actions]
        raise FmAudioError(f"recipe: {explain(message, known)}; see fm-audio fit --help") from ex


def explain(message: str, known: Collection[str]) -> str:
    """jsonargparse's message in one line. `known` are the keys of the recipe, dotted."""
    message = _GROUP.sub(r"does not accept option '\1.\2'", message)
    found = _REFUSED.search(message)
    if found is None:
        lines = [line.strip(" -") for line in message.splitlines()]
        return " ".join(line for line in lines if line and not _NOISE.match(line))[:LONGEST]
    given = found[1]
    owners = _CLASS.findall(message[: found.start()])
    if owners:
        return f"{owners[-1]} takes no {given!r}{_nearest(given, parameters(owners[-1]))}"
    top = given.partition(".")[0]
    tops = {key.partition(".")[0] for key in known}
    name, names = (given, known) if top in tops else (top, tops)
    return f"there is no key {name!r}{_nearest(name, names)}"


def parameters(class_path: str) -> list[str]:
    """The names that a class takes, and nothing when it cannot be found."""
    module, _, name = class_path.rpartition(".")
    try:
        return list(inspect.signature(getattr(import_module(module), name)).parameters)
    except (ImportError, AttributeError, ValueError):
        return []


def _nearest(given: str, keys: Iterable[str]) -> str:
    near = get_close_matches(given, sorted(keys), n=1, cutoff=0.5)
    return f" (did you mean {near[0]}?)" if near else ""


def _subcommands(parser: LightningArgumentParser) -> dict[int, LightningArgumentParser]:
    action = getattr(parser, "_subcommands_action", None)
    return {id(p): p for p in action._name_parser_map.values()} if action is not None else {}
