"""A voice bank: recordings to clone from, each with a card that says whose it is, what it says, and who allowed what.

    BANK/NAME/recording.wav   the file as it was given, under its own ending
    BANK/NAME/card.json       {"format": 1, "name", "transcript", "licence", "consent", "recorded", "language", "description"}

A voice is added whole or not at all, after the checks that a reference gets, and never over another.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from pathlib import Path

from fm_audio.audio import Audio, load_audio
from fm_audio.checkpoint import read_json
from fm_audio.data.neighbours import Neighbours
from fm_audio.types import FmAudioError
from fm_audio.voices.recording import Recording
from fm_audio.voices.reference import require_reference

FORMAT = 1
CARD, RECORDING = "card.json", "recording"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
NOBODY = "no person: synthetic"


@dataclass(frozen=True)
class Card:
    """What a recording says, word for word; its licence; who agreed to its being cloned, and how; whether a person was recorded
    (otherwise a machine made it); and, where somebody said so, what the voice is like: "calm elderly man"."""

    name: str
    transcript: str
    licence: str
    consent: str
    recorded: bool = True
    language: str = "en"
    description: str = ""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise FmAudioError(f"name {self.name!r}: give up to 64 letters, digits, - and _, the first a letter or digit")
        hints = {
            "transcript": "write what the recording says, word for word",
            "licence": "say under which licence the recording is, CC0-1.0 or 'private' for instance",
            "consent": "say who agreed to this voice being cloned, and how",
        }
        for field, hint in hints.items():
            if not getattr(self, field).strip():
                raise FmAudioError(f"voice {self.name!r}: its {field} is empty; {hint}")


@dataclass(frozen=True)
class BankedVoice:
    """One recording of a bank."""

    card: Card
    folder: Path

    @property
    def path(self) -> Path:
        return next(self.folder.glob(f"{RECORDING}*"), self.folder / RECORDING)

    def recording(self, sample_rate: int) -> Audio:
        """Mono at that rate, what `Cloner.say` takes as its reference."""
        return load_audio(self.path, sample_rate)


class VoiceBank:
    """The voices of a folder, `bank_folder()` unless another is given. It need not exist before the first is added."""

    def __init__(self, folder: str | os.PathLike[str] | None = None):
        self.folder = bank_folder() if folder is None else Path(folder)

    def voices(self) -> list[BankedVoice]:
        """By name. Raises FmAudioError on a card that cannot be read."""
        return [BankedVoice(_read_card(path), path.parent) for path in sorted(self.folder.glob(f"[!.]*/{CARD}"))]

    def find(self, name: str) -> BankedVoice:
        """Raises FmAudioError on a name that is not there, naming near ones."""
        voices = {voice.card.name: voice for voice in self.voices()}
        if name not in voices:
            near = get_close_matches(name, list(voices), n=3)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            there = ", ".join(voices) or "none yet; fm-audio voices add puts one in"
            raise FmAudioError(f"{name!r}: no such file, and no voice of that name in {self.folder}; {hint}There are {there}")
        return voices[name]

    def described(self, like: str) -> BankedVoice:
        """The voice whose description says most of `like`. Raises FmAudioError where none says any of it."""
        voices = [v for v in self.voices() if v.card.description.strip()]
        if not voices:
            raise FmAudioError(f"no voice of {self.folder} has a description; fm-audio voices add … --description puts one in")
        among = Neighbours([v.card.description for v in voices], [v.card.name for v in voices])
        (found,) = among.nearest([like], 1)
        if not found:
            there = "; ".join(f"{v.card.name}: {v.card.description}" for v in voices[:8])
            raise FmAudioError(f"{like!r}: no voice of {self.folder} is described so; there are {there}")
        return voices[found[0][0]]

    def add(self, card: Card, clip: str | os.PathLike[str]) -> BankedVoice:
        """A clip of 1 to 20 s, copied. Raises FmAudioError on a name that is taken and on what cannot be a reference."""
        target = self.folder / card.name
        taken = FmAudioError(f"voice {card.name!r}: is in {self.folder} already; choose another name, or remove {target} first")
        if target.exists():
            raise taken
        require_reference(Recording.load(clip).mono())
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".adding-") as made:
                whole = Path(made) / card.name
                whole.mkdir()
                shutil.copyfile(clip, whole / f"{RECORDING}{Path(clip).suffix.lower()}")
                text = json.dumps({"format": FORMAT, **asdict(card)}, indent=2, ensure_ascii=False) + "\n"
                (whole / CARD).write_text(text, encoding="utf-8")
                whole.rename(target)
        except OSError as e:
            if target.exists():  # somebody was quicker
                raise taken from e
            raise FmAudioError(f"{self.folder}: cannot be written to ({e.strerror}); choose another bank with --bank") from e
        return BankedVoice(card, target)


def bank_folder() -> Path:
    """$FM_AUDIO_BANK, or fm_audio/bank in $XDG_DATA_HOME or ~/.local/share."""
    given = os.environ.get("FM_AUDIO_BANK")
    share = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(given) if given else Path(share) / "fm_audio" / "bank"


def reference_of(
    given: str | None, text: str | None, bank: VoiceBank, like: str | None = None
) -> tuple[Path, str, Card | None]:
    """What `--reference` means: a file, whose `text` must be given, or a voice of the bank, whose text its card knows; or without
    it `--voice-like`, the voice of the bank that is described so."""
    if given is None:
        voice = bank.described(like or "")
        return voice.path, voice.card.transcript, voice.card
    if not NAME.fullmatch(given) and not Path(given).exists():
        raise FmAudioError(f"{given}: no such file; give a recording, or the name of a voice of the bank (fm-audio voices)")
    if Path(given).exists():
        if text is None:
            raise FmAudioError(f"{given}: give --reference-text, what this recording says, word for word")
        return Path(given), text, None
    voice = bank.find(given)
    return voice.path, voice.card.transcript if text is None else text, voice.card


def _read_card(path: Path) -> Card:
    found = read_json(path, "card", "remove the folder, or add the voice again")
    names = {field.name for field in fields(Card)}
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise FmAudioError(f"{path}: is no card of format {FORMAT}; add the voice again, or install the fm_audio that wrote it")
    found.setdefault("description", "")  # cards of before had none
    if set(found) - {"format"} != names or not all(isinstance(found[n], bool if n == "recorded" else str) for n in names):
        raise FmAudioError(f"{path}: a card has {', '.join(sorted(names))}; this one has {', '.join(sorted(found))}; mend it")
    card = Card(**{name: found[name] for name in names})
    if card.name != path.parent.name:
        raise FmAudioError(f"{path}: its name is {card.name!r}, its folder's {path.parent.name!r}; make them the same")
    return card
