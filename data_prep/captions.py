"""Words for sounds: captions of file names, folders and tags, other ways to say them, and licences by their names."""

from __future__ import annotations

import re

from fm_audio.data.preparation.prepare import text_hash

WAYS = ("{}", "the sound of {}", "{} can be heard", "a recording of {}")
_LICENCES = (
    (r"publicdomain/zero/([\d.]+)|\bCC0\b", "CC0"),
    (r"licenses/sampling\+/([\d.]+)", "CC-Sampling-Plus"),
    (r"licenses/by-nc-sa/([\d.]+)", "CC-BY-NC-SA"),
    (r"licenses/by-nc/([\d.]+)", "CC-BY-NC"),
    (r"licenses/by-sa/([\d.]+)", "CC-BY-SA"),
    (r"licenses/by/([\d.]+)", "CC-BY"),
)


def said(what: str, key: str, plain: bool = False) -> str:
    """One of several ways to say that `what` is heard; which, `key` decides for ever. `plain` has only the first."""
    return WAYS[0 if plain else text_hash(key) % len(WAYS)].format(what)


def listed(things: list[str]) -> str:
    """["rain", "wind", "a dog"] -> "rain, wind and a dog"."""
    return things[0] if len(things) == 1 else ", ".join(things[:-1]) + " and " + things[-1]


def licence_named(link: str) -> str:
    """The name of a Creative Commons licence by its link (`CC-BY-3.0`), the text itself for others, `unstated` for none."""
    for pattern, name in _LICENCES:
        found = re.search(pattern, link, re.IGNORECASE)
        if found:
            version = next((g for g in found.groups() if g), "1.0")
            return f"{name}-{version.rstrip('.')}"
    return link.strip() or "unstated"
