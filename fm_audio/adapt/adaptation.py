"""One adaptation, from recordings to a folder: check, begin where the base is nearest, train while judges listen, keep the best.

base ─▶ grow (speaker row, symbols) ─▶ LoRA or all weights ─▶ fit ⇄ Watch ─▶ adapter | whole model, card.md, listen.html, mels.png

The base is a voice that speaks or a model that clones; what sets them apart is in `fm_audio.adapt.pupil` and who implements it.
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

from fm_audio.adapt.batches import Endless, Once, WithReplay
from fm_audio.adapt.card import card
from fm_audio.adapt.cloning import CloningPupil
from fm_audio.adapt.ears import REFERENCES, Ears, listen
from fm_audio.adapt.folders import CARD, HELD_OUT, MELS, PAGE
from fm_audio.adapt.growth import bend, fitting_rank, grow
from fm_audio.adapt.page import page
from fm_audio.adapt.pupil import Pupil
from fm_audio.adapt.reading import own_way
from fm_audio.adapt.recordings import Source, gather
from fm_audio.adapt.report import report_of
from fm_audio.adapt.speaking import SpeakingPupil
from fm_audio.adapt.watch import Watch
from fm_audio.audio import Audio
from fm_audio.bandwidth import spectrum_end_hz
from fm_audio.checkpoint import instantiate, read_config
from fm_audio.data.cuts import wave_of_cut
from fm_audio.data.text.extended import Extended
from fm_audio.evaluation.judge import Judges, Result
from fm_audio.evaluation.pictures import draw_mels
from fm_audio.evaluation.protocols import load_protocol
from fm_audio.folders import becoming, require_new
from fm_audio.training.low_rank import target_layers, usual_targets
from fm_audio.types import FmAudioError
from fm_audio.voices.adapter import fingerprint, require_bendable, write_adapter
from fm_audio.voices.cloner import KIND as CLONES
from fm_audio.voices.cloner import cloner_folder
from fm_audio.voices.find import find
from fm_audio.voices.sounds import kind_of

STRENGTHS = (0.75, 0.5, 0.25)  # shares of what was learned that are tried beside all of it
MOST_STEPS = 2000  # where the judges stop and nobody said how many
ENDLESS_STEPS = 10**9  # where the clock stops


@dataclass(frozen=True)
class Settings:
    """How to learn. `reads` is the node of a front-end with symbols that the base lacks; `replay` a manifest of the base's own
    speakers (of a model that clones: of other people), `replay_share` of the batches come from it."""

    steps: int | None = None
    minutes: float | None = None
    full: bool = False
    rank: int | None = None
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
    precision: str = "auto"  # or Lightning's
    progress: bool = False
    how: Mapping[str, Any] | None = None  # arguments of Voice.say or Cloner.say for what is listened to

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
    """Write `out`, an adapter or with `full` a whole model, and return the report that its card shows.

    Raises FmAudioError, before long work where it can, when the output exists, the base or the recordings cannot be used, an
    adapter would be too large, or nobody could say when to stop.
    """
    require_new(out)
    _require_end(settings, ears)
    pupil = _pupil(base, source.voice, settings)
    require_bendable(pupil.folder, read_config(pupil.folder))
    if settings.full:
        pupil.require_whole()
    pupil.require_free()
    settings = replace(settings, targets=settings.targets or usual_targets(pupil.model, settings.reads is not None))
    if not settings.full:
        settings = replace(settings, rank=fitting_rank(target_layers(pupil.model, settings.targets), settings.rank))
    with becoming(out) as hidden:
        work = hidden / "work"
        work.mkdir()
        run = Run(pupil, source, settings, ears, tell, work)
        report = report_of(run, command)
        run.write(hidden, report)
        shutil.rmtree(work)
    return report


def _pupil(base: str | os.PathLike[str] | None, name: str, settings: Settings) -> Pupil:
    if base is not None and kind_of(base) == CLONES:
        return CloningPupil(cloner_folder(base), name, settings.how or {}, settings.device)
    return SpeakingPupil(find(base), name, settings.how or {}, settings.device)


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
        self, pupil: Pupil, source: Source, settings: Settings, ears: Ears, tell: Callable[[str], None], work: Path
    ):
        began = perf_counter()
        self.pupil, self.source, self.settings, self.ears, self.tell = pupil, source, settings, ears, tell
        self.model = pupil.model
        self.fingerprint = fingerprint(pupil.folder)
        self.node = None if settings.reads is None else own_way(self.model.frontend, settings.reads)
        reads = None if self.node is None else instantiate(self.node)
        self.reads = self.model.frontend if reads is None else Extended(self.model.frontend, reads)
        known = [] if settings.replay is None else pupil.known(settings.replay, source.max_seconds)
        self.recordings = gather(source, work, self.reads, ears.recogniser, tell)
        self.end_hz = self._spectrum_end() if pupil.fills_bands else None
        tell("\n".join([*self.recordings.report.lines(), *self._filled()]))
        taken = pupil.hears(self.recordings, None if reads is None else self.reads, self.end_hz, known)
        cuts = self.recordings.held_out[: settings.sentences]
        self.texts = [cut.supervisions[0].text for cut in cuts]
        self.others = _others(len(cuts)) if settings.reads is None and source.language == "en" else []
        self.recorded = [self._sound(cut) for cut in cuts]
        self.judges = ears.judges([self._sound(cut) for cut in self.recordings.train[:REFERENCES]])
        self.base_speaks = settings.reads is None  # it cannot read another language
        self.before = pupil.say([*self.texts, *self.others]) if self.base_speaks else None
        self.kept_before = pupil.kept_before([*self.texts, *self.others]) if self.base_speaks and settings.full else None
        self._grow(reads, taken)
        self.watch = self._train(work, known)
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

    def _weaker(self, share: float) -> dict[str, torch.Tensor]:
        """The best weights with a share of what bends the base; what is the new voice's alone stays whole."""
        best = self.watch.weights
        if not self.settings.full:
            return {name: share * w if ".lora_B." in name else w for name, w in best.items()}
        return {name: self.first[name].lerp(w, share) if name in self.first else w for name, w in best.items()}

    def _grow(self, reads: Any, taken: list[Any]) -> None:
        settings, name = self.settings, self.pupil.name
        torch.manual_seed(settings.seed)
        layers = target_layers(self.model, settings.targets)
        grow(self.model, name, reads, settings.seed, taken)
        self.pupil.grown()
        if not settings.full:
            assert settings.rank is not None
            bend(self.model, list(layers), settings.rank, settings.seed)
        named = self.model.named_parameters() if settings.full else ()
        self.first = {key: p.detach().clone() for key, p in named if p.requires_grad and not key.endswith(".new")}
        self.trained = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        self.mine = Endless(self.recordings.train, self.model, self.reads, settings.batch_seconds, settings.seed, self.end_hz)
        self.start = self.pupil.start(next(iter(self.mine)).to(settings.device), settings.seed)
        self.tell(f"begins {self.start}; {self.trained:,} numbers to train")

    def _train(self, work: Path, known: list[Any]) -> Watch:
        from fm_audio.training.brief import AtSteps, fit

        settings, model = self.settings, self.model
        batches: Any = self.mine
        if known:
            other = Endless(known, model, model.frontend, settings.batch_seconds, settings.seed)
            batches = WithReplay(self.mine, other, settings.replay_share)
        hear = self._hear if self.judges is not None else None
        held_out = Once(self.recordings.held_out, model, self.reads, settings.batch_seconds, self.end_hz)
        watch = Watch(model, held_out, torch.device(settings.device), hear, self.ears.both, settings.patience, self.tell)
        self.loss_at_start = watch.loss()
        by_phones = isinstance(self.reads, Extended) and self.reads.stand_ins is not None
        again = self.pupil.again([self.mine, held_out], by_phones) if settings.reads is not None else None
        steps = settings.steps or (MOST_STEPS if settings.minutes is None else ENDLESS_STEPS)
        self.steps = fit(
            model, batches, watch, settings.look_every, steps, work, settings.minutes, settings.rate,
            seed=settings.seed, device=settings.device, precision=settings.precision, progress=settings.progress,
            also=[] if again is None else [AtSteps(*again)],
        )  # fmt: skip
        model.to(settings.device)
        return watch

    def _hear(self) -> Result:
        texts = [*self.texts, *self.others]
        return self.listen(self.pupil.name, texts, self.pupil.say(texts))

    def listen(self, who: str, texts: Sequence[str], sounds: Sequence[Audio]) -> Result:
        return listen(who, texts, sounds, cast(Judges, self.judges), self.source.language)

    def write(self, folder: Path, report: dict[str, Any]) -> None:
        """Adapter or whole model, page, card and the sentences to measure it by; `report` gets its size."""
        facts, pupil = report["facts"], self.pupil
        if self.settings.full:
            pupil.write_whole(folder, self.node, facts)
        else:
            write_adapter(folder, pupil.adapter(report["base"]["name"], report["base"]["fingerprint"], self.node, facts))
        report["megabytes"] = sum(p.stat().st_size for p in folder.iterdir() if p.is_file()) / 1e6
        columns = {
            "recorded": self.recorded,
            **({f"base ({pupil.base_name})": self.before[: len(self.texts)]} if self.before else {}),
            pupil.name: pupil.loaded(folder, self.settings.full)(self.texts),
        }
        note = "Held-out sentences: no clip with these words was trained on."
        title = f"{pupil.name}, {report['what']} of {pupil.base_name}"
        (folder / PAGE).write_text(page(title, note, self.texts, columns), "utf-8")
        draw_mels(folder / MELS, self.texts, columns, self.model.spec)
        held_out = dict.fromkeys(" ".join(cut.supervisions[0].text.split()) for cut in self.recordings.held_out)
        (folder / HELD_OUT).write_text("".join(f"{text}\n" for text in held_out), encoding="utf-8")
        (folder / CARD).write_text(card(report), encoding="utf-8")
