"""One adaptation, from recordings to a folder: check, begin like the nearest speaker, train while judges listen, keep the best.

base ─▶ grow (speaker row, symbols) ─▶ LoRA or all weights ─▶ fit ⇄ Watch ─▶ adapter | voice, card.md, listen.html, mels.png
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import torch

from fm_audio.adapt.alignment import align, align_again
from fm_audio.adapt.batches import Endless, Once, WithReplay, replayed
from fm_audio.adapt.card import card
from fm_audio.adapt.ears import REFERENCES, Ears, listen, spoken
from fm_audio.adapt.folders import CARD, HELD_OUT, MELS, PAGE, require_alone, write_voice
from fm_audio.adapt.growth import bend, collect, grow, require_small, start_like, whole_state
from fm_audio.adapt.likening import Likened
from fm_audio.adapt.page import page
from fm_audio.adapt.recordings import Source, gather
from fm_audio.adapt.report import report_of
from fm_audio.adapt.watch import Watch
from fm_audio.audio import Audio
from fm_audio.bandwidth import spectrum_end_hz
from fm_audio.checkpoint import instantiate
from fm_audio.data.cuts import wave_of_cut
from fm_audio.data.text.extended import Extended
from fm_audio.evaluation.judge import Judges, Result
from fm_audio.evaluation.pictures import draw_mels
from fm_audio.evaluation.protocols import load_protocol
from fm_audio.folders import becoming, require_new
from fm_audio.training.low_rank import target_layers, usual_targets
from fm_audio.types import FmAudioError
from fm_audio.voices import Voice, load
from fm_audio.voices.adapter import fingerprint, write_adapter
from fm_audio.voices.find import Entry, find

STRENGTHS = (0.75, 0.5, 0.25)  # shares of what was learned that are tried beside all of it
LETTERS_ALIGNED_AGAIN = (100, 200, 400, 800, 1600, 3200)  # steps after which another language is aligned by what was learned
PHONES_ALIGNED_AGAIN = (400, 1600)  # the same where stand-ins gave a good alignment before anything was learned
MOST_STEPS = 2000  # where the judges stop and nobody said how many
ENDLESS_STEPS = 10**9  # where the clock stops


@dataclass(frozen=True)
class Settings:
    """How to learn. `reads` is the node of a front-end with symbols that the base lacks; `replay` a manifest of the base's own
    speakers, `replay_share` of the batches come from it."""

    steps: int | None = None
    minutes: float | None = None
    full: bool = False
    rank: int = 16
    targets: tuple[str, ...] = ()  # none: `usual_targets`
    learning_rate: float | None = None
    batch_seconds: float = 60.0
    look_every: int = 100
    patience: int = 4
    sentences: int = 8
    replay: Path | None = None
    replay_share: float = 0.3
    reads: Mapping[str, Any] | None = None
    consent: str = "unstated"
    seed: int = 0
    device: str = "cpu"
    precision: str = "bf16-mixed"
    progress: bool = False
    how: Mapping[str, Any] | None = None  # arguments of Voice.say for what is listened to

    @property
    def rate(self) -> float:
        return self.learning_rate or (2e-4 if self.full else 5e-4)


def adapt(
    base: str | os.PathLike[str] | None,
    source: Source,
    out: Path,
    settings: Settings,
    ears: Ears,
    command: str = "",
    tell: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Write `out`, an adapter or with `full` a whole voice, and return the report that its card shows.

    Raises FmAudioError, before long work where it can, when the output exists, the base or the recordings cannot be used, an
    adapter would be too large, or nobody could say when to stop.
    """
    require_new(out)
    entry = find(base)
    if settings.full:
        require_alone(entry)
    _require_end(settings, ears)
    voice = load(entry.folder / entry.name, settings.device)
    if source.voice in {*voice.speakers, *voice.model.speakers}:
        raise FmAudioError(f"--name {source.voice}: the base has a speaker of that name; choose another")
    settings = replace(settings, targets=settings.targets or usual_targets(voice.model, settings.reads is not None))
    layers = target_layers(voice.model, settings.targets)
    if not settings.full:
        require_small(layers, settings.rank)
    with becoming(out) as hidden:
        work = hidden / "work"
        work.mkdir()
        run = Run(entry, voice, source, settings, ears, tell, work)
        report = report_of(run, command)
        run.write(hidden, report)
        shutil.rmtree(work)
    return report


def _require_end(settings: Settings, ears: Ears) -> None:
    if settings.steps is None and settings.minutes is None and not ears.both:
        raise FmAudioError(
            f"adapt: nobody can say when to stop, since no judges listen ({ears.missing}); "
            "install them, or give --steps or --minutes"
        )


def _others(count: int) -> list[str]:
    """Sentences unlike the recordings, to hear what is unlearned: of a list on which settings may be chosen."""
    return list(load_protocol("harvard_dev30").sentences[:count])


class Run:
    """The work itself, done when it is made; `write` and `report_of` tell of it."""

    def __init__(
        self, entry: Entry, voice: Voice, source: Source, settings: Settings, ears: Ears, tell: Callable[[str], None], work: Path
    ):
        began = perf_counter()
        self.entry, self.voice, self.source, self.settings, self.ears, self.tell = entry, voice, source, settings, ears, tell
        self.model = voice.model
        self.name, self.base_name = source.voice, voice.name
        self.fingerprint = fingerprint(entry.folder)
        reads = None if settings.reads is None else instantiate(settings.reads)
        self.reads = self.model.frontend if reads is None else Extended(self.model.frontend, reads)
        self.recordings = gather(source, work, self.reads, ears.recogniser, tell)
        self.end_hz = self._spectrum_end()
        tell("\n".join([*self.recordings.report.lines(), *self._filled()]))
        every = [*self.recordings.train, *self.recordings.held_out]
        taken = align(every, self.model, None if reads is None else self.reads, self.end_hz)
        cuts = self.recordings.held_out[: settings.sentences]
        self.texts = [cut.supervisions[0].text for cut in cuts]
        self.others = _others(len(cuts)) if settings.reads is None and source.language == "en" else []
        self.recorded = [self._sound(cut) for cut in cuts]
        self.judges = ears.judges([self._sound(cut) for cut in self.recordings.train[:REFERENCES]])
        self.base_speaks = settings.reads is None  # it cannot read another language
        self.before = self.spoken(self.base_name, [*self.texts, *self.others]) if self.base_speaks else None
        self._grow(reads, taken)
        self.watch = self._train(work)
        self.strength = self.watch.strongest(STRENGTHS, self._weaker)
        self.watch.put(self.watch.weights)
        self.minutes = (perf_counter() - began) / 60

    def _spectrum_end(self) -> float | None:
        """Where the recordings end, as far as their first clips tell."""
        spec = self.model.spec
        sounds = [torch.from_numpy(self._sound(cut).samples) for cut in self.recordings.train[:REFERENCES]]
        return spectrum_end_hz(torch.cat([spec.log_mel(sound[None])[0] for sound in sounds]), spec)

    def _filled(self) -> list[str]:
        """Said when recordings hold less of the spectrum than the voice can make."""
        if self.end_hz is None:
            return []
        return [f"  nothing above {self.end_hz:.0f} Hz was recorded: the voice learns what lies below, continued upwards"]

    def _sound(self, cut: Any) -> Audio:
        rate = self.model.spec.sample_rate
        return Audio(wave_of_cut(cut, rate), rate)

    def spoken(self, name: str, texts: Sequence[str]) -> list[Audio]:
        return spoken(self.voice, texts, name, dict(self.settings.how or {}))

    def _weaker(self, share: float) -> dict[str, torch.Tensor]:
        """The best weights with a share of what bends the base; what is the new voice's alone stays whole."""
        best = self.watch.weights
        if not self.settings.full:
            return {name: share * w if ".lora_B." in name else w for name, w in best.items()}
        return {name: self.first[name].lerp(w, share) if name in self.first else w for name, w in best.items()}

    def _grow(self, reads: Any, taken: list[Likened]) -> None:
        settings = self.settings
        torch.manual_seed(settings.seed)
        layers = target_layers(self.model, settings.targets)
        grow(self.model, self.name, reads, settings.seed, taken)
        self.voice.speakers[self.name] = self.name
        if not settings.full:
            bend(self.model, list(layers), settings.rank, settings.seed)
        tables = [f"{name}.new" for name in ("speaker", "text.embedding")]
        named = self.model.named_parameters() if settings.full else ()
        self.first = {name: p.detach().clone() for name, p in named if p.requires_grad and name not in tables}
        self.trained = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        self.mine = Endless(self.recordings.train, self.model, self.reads, settings.batch_seconds, settings.seed, self.end_hz)
        self.start = start_like(self.model, self.name, next(iter(self.mine)).to(settings.device), settings.seed)
        self.tell(f"begins as the base's speaker {self.start}; {self.trained:,} numbers to train")

    def _train(self, work: Path) -> Watch:
        from fm_audio.training.brief import AtSteps, fit

        settings, model = self.settings, self.model
        batches: Any = self.mine
        if settings.replay is not None:
            known = replayed(settings.replay, model, self.source.max_seconds)
            other = Endless(known, model, model.frontend, settings.batch_seconds, settings.seed)
            batches = WithReplay(self.mine, other, settings.replay_share)
        hear = self._hear if self.judges is not None else None
        held_out = Once(self.recordings.held_out, model, self.reads, settings.batch_seconds, self.end_hz)
        watch = Watch(model, held_out, torch.device(settings.device), hear, self.ears.both, settings.patience, self.tell)
        self.loss_at_start = watch.loss()
        stands_in = isinstance(self.reads, Extended) and self.reads.stand_ins is not None
        at_steps = PHONES_ALIGNED_AGAIN if stands_in else LETTERS_ALIGNED_AGAIN
        again = AtSteps(at_steps, lambda: align_again([self.mine, held_out], model, self.name))
        steps = settings.steps or (MOST_STEPS if settings.minutes is None else ENDLESS_STEPS)
        self.steps = fit(
            model, batches, watch, settings.look_every, steps, work, settings.minutes, settings.rate,
            seed=settings.seed, device=settings.device, precision=settings.precision, progress=settings.progress,
            also=[again] if settings.reads is not None else [],
        )  # fmt: skip
        model.to(settings.device)
        return watch

    def _hear(self) -> Result:
        texts = [*self.texts, *self.others]
        return self.listen(self.name, texts, self.spoken(self.name, texts))

    def listen(self, who: str, texts: Sequence[str], sounds: Sequence[Audio]) -> Result:
        return listen(who, texts, sounds, cast(Judges, self.judges), self.source.language)

    def write(self, folder: Path, report: dict[str, Any]) -> None:
        """Adapter or voice, page, card and the sentences to measure it by; `report` gets its size."""
        reads, facts, settings = self.settings.reads, report["facts"], self.settings
        if settings.full:
            write_voice(folder, self.entry, whole_state(self.model), self.name, reads, facts, half=True)
            adapted = load(folder, settings.device)
        else:
            base = report["base"]
            write_adapter(folder, collect(self.model, self.name, base["name"], base["fingerprint"], reads, facts))
            adapted = load(self.entry.folder, settings.device, adapter=folder)
        report["megabytes"] = sum(p.stat().st_size for p in folder.iterdir() if p.is_file()) / 1e6
        after = spoken(adapted, self.texts, self.name, dict(settings.how or {}))
        columns = {
            "recorded": self.recorded,
            **({f"base ({self.base_name})": self.before[: len(self.texts)]} if self.before else {}),
            self.name: after,
        }
        note = "Held-out sentences: no clip with these words was trained on."
        (folder / PAGE).write_text(page(f"{self.name}, {report['what']} of {self.base_name}", note, self.texts, columns), "utf-8")
        draw_mels(folder / MELS, self.texts, columns, self.model.spec)
        held_out = dict.fromkeys(" ".join(cut.supervisions[0].text.split()) for cut in self.recordings.held_out)
        (folder / HELD_OUT).write_text("".join(f"{text}\n" for text in held_out), encoding="utf-8")
        (folder / CARD).write_text(card(report), encoding="utf-8")
