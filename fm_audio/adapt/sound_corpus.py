"""A small folder of sounds, checked and split: what trains an adapter of sounds, what is held out, and the batches of both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fm_audio.adapt.recordings import CUTS, VALIDATION, Source, readable
from fm_audio.audio import Audio
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.cuts import load_cuts, wave_of_cut
from fm_audio.data.preparation.clip import normal_text
from fm_audio.data.preparation.layouts import Naming, read_folder
from fm_audio.data.preparation.prepare import Options, prepare, text_hash, write_cuts
from fm_audio.data.preparation.report import Report
from fm_audio.data.speech import SpeechDataModule
from fm_audio.tasks.text_to_audio import RETRIEVE, TextToAudio
from fm_audio.types import FmAudioError

HELD_OUT_SHARE = 0.15
FEWEST = 4


class Sounds:
    """Cuts of `source` in `work`, as `model` reads them; iterating gives training batches without end.

    A folder has a manifest, a metadata.csv, texts beside the files, or captions in the files' names; or Lhotse cuts are given.
    Raises FmAudioError when too few can be used.
    """

    def __init__(self, source: Source, work: Path, model: TextToAudio, batch_seconds: float, seed: int):
        self.report = Report(source.path.name, source.licence, source.synthetic)
        cuts = _cuts(source, work, model, self.report)
        if len(cuts) < FEWEST:
            why = " ".join(line.strip() for line in self.report.lines()[-4:])
            raise FmAudioError(f"{source.path}: {len(cuts)} sounds can be used, at least {FEWEST} are needed; {why}")
        order = sorted(cuts, key=lambda c: text_hash(f"{c.id} {normal_text(c.supervisions[0].text)}"))
        held = max(1, round(HELD_OUT_SHARE * len(cuts)))
        self.report.held_out = held
        self.held_out, self.train = order[:held], order[held:]
        write_cuts(self.train, work / CUTS)
        write_cuts(self.held_out, work / VALIDATION)
        self._module = SpeechDataModule(
            [str(work / CUTS)], [str(work / VALIDATION)], model.spec, model.frontend, batch_seconds, buckets=2, seed=seed,
            captions=True, retrieve=0 if model.clips is None else RETRIEVE,
        )  # fmt: skip
        self._module.setup()

    def __iter__(self) -> Iterator[SpeechBatch]:
        return self._module.endless()

    def once(self) -> list[SpeechBatch]:
        """Every held-out sound."""
        return list(self._module.loader(self.held_out, False, lambda: (0, 0)))

    def to_hear(self, most: int, sample_rate: int) -> tuple[list[str], list[Audio]]:
        """Captions of held-out sounds, and the sounds."""
        cuts = self.held_out[:most]
        return [c.supervisions[0].text for c in cuts], [Audio(wave_of_cut(c, sample_rate), sample_rate) for c in cuts]


def _cuts(source: Source, work: Path, model: TextToAudio, report: Report) -> list[Any]:
    manifest = source.path if source.path.is_file() else source.path / CUTS
    if manifest.is_file():
        cuts = [c for c in load_cuts(manifest) if c.duration <= source.max_seconds]
        report.found += len(cuts)
        for cut in cuts:
            text, seconds = cut.supervisions[0].text, cut.duration
            report.keep(cut.id, str(cut.supervisions[0].speaker), text, seconds, seconds, 0.0, cut.sampling_rate)
        return cuts

    def refuse(where: str, why: str) -> None:
        report.found += 1
        report.drop(where, f"bad line: {why}")

    clips = read_folder(source.path, Naming(source.voice, source.language), refuse, by_name=True)
    options = Options(source.licence, source.synthetic, max_seconds=source.max_seconds, captions=True)
    prepare(clips, work, options, report, readable(model.frontend))
    return list(load_cuts(work / CUTS))
