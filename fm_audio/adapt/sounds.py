"""A small folder of sounds becomes an adapter of a text-to-audio model: the same low-rank layers, told what to make by captions.

    base ─▶ LoRA ─▶ fit ⇄ held-out loss ─▶ adapter, card.md, listen.html, mels.png

Sounds have no words that a judge could hear, so the loss on held-out sounds decides when to stop and which weights stay, and the
card says how far what is made lies from the held-out sounds, before and after.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from fm_audio.adapt.adaptation import ENDLESS_STEPS, MOST_STEPS, Settings
from fm_audio.adapt.folders import CARD, MELS, PAGE
from fm_audio.adapt.growth import collect, fitting_rank
from fm_audio.adapt.page import page
from fm_audio.adapt.recordings import Source
from fm_audio.adapt.sound_corpus import Sounds
from fm_audio.adapt.watch import LeastLoss
from fm_audio.audio import Audio, AudioSpec
from fm_audio.data.sound_features import features
from fm_audio.evaluation.pictures import draw_mels
from fm_audio.folders import becoming, require_new
from fm_audio.training.low_rank import add_lora, target_layers, usual_targets
from fm_audio.types import FmAudioError
from fm_audio.voices.adapter import fingerprint, write_adapter
from fm_audio.voices.find import SHIPPED, UNSTATED
from fm_audio.voices.sounds import SoundMaker, load_sounds, sounds_folder


def adapt_sounds(
    base: str, source: Source, out: Path, settings: Settings, command: str = "", tell: Callable[[str], None] = print
) -> dict[str, Any]:
    """Write `out`, an adapter of the sound model `base`, and return the report that its card shows.

    Raises FmAudioError, before long work, when the output exists or the sounds cannot be used, and for settings that only voices
    have (`full`, `reads`, `replay`).
    """
    require_new(out)
    for name, option in (("full", "--full"), ("reads", "--alphabet"), ("replay", "--replay")):
        if getattr(settings, name):
            raise FmAudioError(f"{option}: is for voices; adapters of sounds go without")
    folder = sounds_folder(base)
    maker = load_sounds(folder, settings.device)
    settings = replace(settings, targets=settings.targets or usual_targets(maker.model, language=False))
    layers = target_layers(maker.model, settings.targets)
    rank = fitting_rank(layers, settings.rank)
    facts = {"recorded": not source.synthetic, "licence": source.licence, "consent": settings.consent}
    began = perf_counter()
    with becoming(out) as hidden:
        work = hidden / "work"
        work.mkdir()
        data = Sounds(source, work, maker.model, settings.batch_seconds, settings.seed)
        tell("\n".join(data.report.lines()))
        captions, recorded = data.to_hear(settings.sentences, maker.spec.sample_rate)
        before = _made(maker, captions, recorded)
        add_lora(maker.model, list(layers), rank, settings.seed)
        watch = LeastLoss(maker.model, data.once(), torch.device(settings.device), patience=settings.patience, tell=tell)
        loss_before = watch.loss()
        tell(f"held-out loss before: {loss_before:.3f}")
        steps = _train(maker, data, watch, settings, work)
        after = _made(maker, captions, recorded)
        name = folder.name if folder.parent == SHIPPED else str(folder.resolve())
        write_adapter(hidden, collect(maker.model, source.voice, name, fingerprint(folder), facts))
        assert watch.best is not None
        report = {
            "name": source.voice,
            "base": maker.name,
            "facts": facts,
            "command": command,
            "clips": len(data.train),
            "held_out": len(data.held_out),
            "rank": rank,
            "targets": list(settings.targets),
            "steps": steps,
            "minutes": round((perf_counter() - began) / 60, 2),
            "kept": {"step": watch.best.step, "weights": watch.best.kind},
            "held_out_loss": {"before": round(loss_before, 4), "after": round(watch.best.loss, 4)},
            "distance": {"before": round(distance(before, recorded), 4), "after": round(distance(after, recorded), 4)},
            "data": data.report.lines(),
        }
        report["megabytes"] = sum(p.stat().st_size for p in hidden.iterdir() if p.is_file()) / 1e6
        columns = {"recorded": recorded, f"base ({maker.name})": before, source.voice: after}
        title, note = f"{source.voice}, an adapter of {maker.name}", "Held-out sounds: none of them was trained on."
        (hidden / PAGE).write_text(page(title, note, captions, columns), "utf-8")
        drawn = maker.spec if maker.spec.codec is None else AudioSpec(sample_rate=maker.spec.sample_rate)
        draw_mels(hidden / MELS, captions, columns, drawn)
        (hidden / CARD).write_text(card(report), encoding="utf-8")
        shutil.rmtree(work)
    return report


def _train(maker: SoundMaker, data: Sounds, watch: LeastLoss, settings: Settings, work: Path) -> int:
    """Steps made; the model then has the weights that `watch` kept."""
    from fm_audio.training.brief import fit

    most = settings.steps or (MOST_STEPS if settings.minutes is None else ENDLESS_STEPS)
    steps = fit(
        maker.model, data, watch, settings.look_every, most, work, settings.minutes, settings.rate, seed=settings.seed,
        device=settings.device, precision=settings.precision, progress=settings.progress,
    )  # fmt: skip
    maker.model.to(settings.device)
    watch.put(watch.weights)
    return steps


def _made(maker: SoundMaker, captions: list[str], recorded: list[Audio]) -> list[Audio]:
    """What the model makes of the captions, as long as the recorded sounds."""
    pairs = zip(captions, recorded, strict=True)
    return [maker.make([caption], max(sound.seconds, 0.1), seed=i)[0] for i, (caption, sound) in enumerate(pairs)]


def distance(made: list[Audio], recorded: list[Audio]) -> float:
    """Mean absolute difference of each sound's features from those of the recorded one, in deviations of the recorded ones."""
    theirs, ours = (np.stack([features(sound) for sound in sounds]) for sounds in (recorded, made))
    return float((np.abs(ours - theirs) / (theirs.std(0) + 0.1)).mean())


def card(report: Mapping[str, Any]) -> str:
    """Markdown."""
    loss, far, licence, kept = report["held_out_loss"], report["distance"], report["facts"]["licence"], report["kept"]
    stated = licence if licence != UNSTATED else f"**{UNSTATED}**: find it out before these sounds are passed on"
    lines = [
        f"# {report['name']}: sounds, an adapter of {report['base']}",
        "",
        "| | |",
        "|---|---|",
        f"| licence of the sounds | {stated} |",
        f"| consent | {report['facts']['consent']} |",
        f"| learned from | {report['clips']} sounds; {report['held_out']} held out |",
        f"| size | {report['megabytes']:.2f} MB |",
        "",
        f"    {report['command']}",
        "",
        f"Rank {report['rank']} on {', '.join(report['targets'])}; {report['steps']} steps, {report['minutes']:.1f} minutes. "
        f"Kept: the weights {kept['weights']} after step {kept['step']}, those of the least loss on held-out sounds.",
        "",
        "| | before | after |",
        "|---|---|---|",
        f"| held-out loss | {loss['before']:.3f} | {loss['after']:.3f} |",
        f"| distance of what is made to the held-out sounds | {far['before']:.3f} | {far['after']:.3f} |",
        "",
        *(f"    {line}" for line in report["data"]),
    ]
    return "\n".join(lines) + "\n"
