"""What is left of sounds that a vocoder makes again from their mels?

    python -m fm_audio.evaluation.vocoders griffin_lim.GriffinLim my_vocoder --held-out procedural/validation.jsonl.gz \\
      --judge-cuts judge/cuts.jsonl.gz

Each vocoder is a folder of fm-audio export or the class of one without weights, the part of its name behind fm_audio.decoders;
with arguments it is JSON: '{"class_path": "fm_audio.decoders.griffin_lim.GriffinLim", "init_args": {"rounds": 0}}'. The first is
what the others are compared with, clip by clip. Told are mean absolute distances of log-mels: `mel` in the vocoder's own
contract, in units of its deviation; `long` in windows of 85, 43 and 21 ms, `short` in windows of 11 and 5 ms, where onsets lie,
both in natural logarithms of magnitudes above 0.01. With --judge-cuts, clips of one kind each, the judge of `evaluation.sounds`
says whether copies are still of the kind of their clip, and how far they lie from the clips in its components (Fréchet); with
--dnsmos what listeners would say of speech.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fm_audio.audio import Audio, AudioSpec
from fm_audio.checkpoint import instantiate, load_model
from fm_audio.data.cuts import load_cuts, wave_of_cut
from fm_audio.evaluation.metrics import Interval, mean_interval, real_time_factor
from fm_audio.evaluation.pictures import draw_mels
from fm_audio.evaluation.quality import QualityJudge
from fm_audio.evaluation.report import save_json
from fm_audio.evaluation.sound_judge import SoundJudge, fit_judge
from fm_audio.evaluation.sounds import Clip, clips_of, of_copies, spread_over
from fm_audio.mel_distance import MultiScaleMelLoss
from fm_audio.types import FmAudioError

SPEC = {"mean": -1.7, "std": 2.6}  # of a decoder without weights that is given none: that of the recipes
SHORT_WINDOWS, SHORT_BANDS = (256, 128), (32, 20)  # at 24 kHz
DRAWN = 6  # clips of a picture
DISTANCES = ("mel", "long", "short")


@dataclass(frozen=True)
class Row:
    """One vocoder. distances: means; above: of their differences from the first vocoder's, clip by clip."""

    name: str
    distances: Mapping[str, float]
    above: Mapping[str, Interval]
    kind_right: Interval | None
    frechet: float | None
    dnsmos: float | None
    real_time_factor: float


def vocoder_of(given: str) -> Any:
    """A decoder by the words of the command line. Raises FmAudioError where there is none."""
    if (Path(given) / "config.json").is_file():
        model = load_model(given)
    else:
        try:
            node: Any = json.loads(given) if given.lstrip().startswith("{") else {"class_path": f"fm_audio.decoders.{given}"}
        except json.JSONDecodeError as e:
            raise FmAudioError(f"{given}: is no JSON ({e})") from e
        arguments: dict[str, Any] = {"spec": SPEC} | node.get("init_args", {})
        model = instantiate({"class_path": node.get("class_path"), "init_args": arguments})
    if not hasattr(model, "decode") or not isinstance(getattr(model, "spec", None), AudioSpec):
        raise FmAudioError(f"{given}: decodes no mels; give the folder of a vocoder, or a class as griffin_lim.GriffinLim")
    return model


@torch.inference_mode()
def copy_of(vocoder: Any, sound: Audio) -> tuple[Audio, float]:
    """The sound as the vocoder makes it from its mel, and the processor seconds that took. A tail of less than a hop is lost."""
    x = vocoder.spec.log_mel(torch.from_numpy(sound.samples)[None])
    start = time.process_time()
    wave = vocoder.decode(x, torch.ones(x.shape[:2], dtype=torch.bool))[0]
    return Audio(wave.float().numpy(), sound.sample_rate), time.process_time() - start


class Distances(nn.Module):
    """Between a sound and its copy: `DISTANCES`, in this order."""

    def __init__(self, spec: AudioSpec) -> None:
        super().__init__()
        self.spec, self.long = spec, MultiScaleMelLoss(spec.sample_rate)
        self.short = MultiScaleMelLoss(spec.sample_rate, SHORT_WINDOWS, SHORT_BANDS)

    def forward(self, sound: Audio, copied: Audio) -> tuple[float, ...]:
        wave, again = (torch.from_numpy(a.samples[: len(copied.samples)])[None] for a in (sound, copied))
        mel = (self.spec.log_mel(wave) - self.spec.log_mel(again)).abs().mean()
        return float(mel), float(self.long(wave, again)), float(self.short(wave, again))


def measure(
    vocoders: Mapping[str, Any], clips: Sequence[Clip], judge: SoundJudge | None = None, quality: QualityJudge | None = None
) -> tuple[list[Row], dict[str, list[Audio]]]:
    """A row for each vocoder, and its copies of the clips. All clips are at the rate of the vocoders."""
    rows: list[Row] = []
    copies: dict[str, list[Audio]] = {}
    first: np.ndarray | None = None
    for name, vocoder in vocoders.items():
        made = [copy_of(vocoder, clip.sound) for clip in clips]
        copies[name] = [audio for audio, _ in made]
        distance = Distances(vocoder.spec)
        found = np.array([distance(clip.sound, audio) for clip, (audio, _) in zip(clips, made, strict=True)])
        first = found if first is None else first
        above = {d: mean_interval(column) for d, column in zip(DISTANCES, (found - first).T.tolist(), strict=True)}
        kinds, apart = (None, None) if judge is None else of_copies(judge, clips, copies[name])
        mos = None if quality is None else float(np.mean([quality.score(audio)["overall"] for audio in copies[name]]))
        speed = real_time_factor([seconds for _, seconds in made], [clip.sound.seconds for clip in clips])
        rows.append(Row(name, dict(zip(DISTANCES, found.mean(0).tolist(), strict=True)), above, kinds, apart, mos, speed))
    return rows, copies


def held_out(paths: Sequence[str], limit: int, sample_rate: int, of_kinds: bool) -> list[Clip]:
    """At most `limit` clips of each manifest, spread over it: those of one kind for the judge, or any."""
    if of_kinds:
        return [clip for path in paths for clip in clips_of(path, limit, rate=sample_rate)]
    clips: list[Clip] = []
    for path in paths:
        for cut in spread_over(list(load_cuts(path)), limit):
            said = cut.supervisions[0].text if cut.supervisions else None
            clips.append(Clip(said or cut.id, "", Audio(wave_of_cut(cut, sample_rate), sample_rate)))
    if not clips:
        raise FmAudioError(f"{', '.join(paths)}: no clips are there")
    return clips


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m fm_audio.evaluation.vocoders", description=str(__doc__).splitlines()[0])
    parser.add_argument("vocoders", nargs="+", metavar="VOCODER", help="a folder, a class without weights, or JSON of one")
    parser.add_argument("--held-out", nargs="+", required=True, metavar="CUTS", help="clips that no vocoder was trained on")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="at most N clips of each manifest (default: 100)")
    parser.add_argument("--judge-cuts", metavar="CUTS", help="clips of one kind each, for a judge of kinds")
    parser.add_argument("--dnsmos", action="store_true", help="ask DNSMOS too, which is for speech")
    parser.add_argument("--picture", type=Path, metavar="FILE", help=f"mels of {DRAWN} clips and their copies, PNG")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything here")
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    try:
        if given.limit < 1:
            raise FmAudioError(f"--limit {given.limit}: give at least one clip")
        vocoders = {name: vocoder_of(name) for name in given.vocoders}
        rates = {v.spec.sample_rate for v in vocoders.values()}
        if len(rates) > 1:
            raise FmAudioError(f"these vocoders are for {sorted(rates)} Hz; compare those of one rate")
        clips = held_out(given.held_out, given.limit, rates.pop(), given.judge_cuts is not None)
        judge = None
        if given.judge_cuts is not None:
            taught = clips_of(given.judge_cuts)
            judge = fit_judge([c.sound for c in taught], [c.kind for c in taught])
        rows, copies = measure(vocoders, clips, judge, QualityJudge(given.threads) if given.dnsmos else None)
        if given.picture:
            drawn = [k * len(clips) // DRAWN for k in range(min(DRAWN, len(clips)))]
            columns = {"real": [clips[k].sound for k in drawn]}
            columns |= {name: [made[k] for k in drawn] for name, made in copies.items()}
            spec = next(iter(vocoders.values())).spec
            draw_mels(given.picture, [clips[k].caption for k in drawn], columns, spec, DRAWN)
        if given.json:
            save_json(given.json, {"held_out": given.held_out, "clips": len(clips), "vocoders": [asdict(row) for row in rows]})
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    print(f"{len(clips)} clips")
    for row in rows:
        print(_line(row, row is rows[0]))
    return 0


def _line(row: Row, is_first: bool) -> str:
    told = [f"{d} {row.distances[d]:.3f}{'' if is_first else _beside(row.above[d])}" for d in DISTANCES]
    if row.kind_right is not None:
        low, high = 100 * row.kind_right.low, 100 * row.kind_right.high
        told.append(f"kind right {100 * row.kind_right.value:.1f} [{low:.1f}, {high:.1f}] %, Fréchet {row.frechet:.2f}")
    if row.dnsmos is not None:
        told.append(f"DNSMOS {row.dnsmos:.2f}")
    return f"{row.name}\n  " + "; ".join([*told, f"real-time factor {row.real_time_factor:.3f}"])


def _beside(i: Interval) -> str:
    return f" ({i.value:+.3f} [{i.low:+.3f}, {i.high:+.3f}])"


if __name__ == "__main__":
    sys.exit(main())
