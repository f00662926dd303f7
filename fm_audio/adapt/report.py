"""What an adaptation says of itself: plain values that the card shows and --json prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from fm_audio.adapt.ears import figures
from fm_audio.adapt.watch import AVERAGED, TRAINED, Seen
from fm_audio.audio import Audio
from fm_audio.voices.find import SHIPPED

if TYPE_CHECKING:
    from fm_audio.adapt.adaptation import Run


def report_of(run: Run, command: str) -> dict[str, Any]:
    """Plain values: what the card shows and --json prints."""
    best, settings = run.watch.best, run.settings
    assert best is not None
    base = {"name": _base_name(run), "fingerprint": run.fingerprint}
    facts = {"speaker": run.pupil.name, "recorded": not run.source.synthetic, "licence": run.source.licence,
             "consent": settings.consent, "language": run.source.language}  # fmt: skip
    training = {
        "rank": 0 if settings.full else settings.rank, "targets": list(settings.targets), "parameters": run.trained,
        "steps": run.steps, "minutes": round(run.minutes, 2), "device": settings.device,
        "threads": torch.get_num_threads(), "start": run.start, "loss_at_start": round(run.loss_at_start, 4),
        "early": run.ears.both,
        "replay_share": settings.replay_share if settings.replay else 0.0, "learning_rate": settings.rate,
    }  # fmt: skip
    rows = _figures(run)
    return {
        "voice": run.pupil.name,
        "what": "all weights" if settings.full else "an adapter",
        "base": base,
        "facts": facts,
        "command": command,
        "data": {
            "minutes": run.recordings.minutes,
            "clips": len(run.recordings.train),
            "held_out": len(run.recordings.held_out),
            "report": run.recordings.report.lines(),
        },  # fmt: skip
        "training": training,
        "chosen": {"step": best.step, "weights": best.kind, "strength": best.strength},
        "figures": rows,
        "looks": [seen.as_dict() for seen in run.watch.seen],
        "sentences": len(run.texts),
        "others": len(run.others),
        "judges": _judges(run),
        "missing": run.ears.missing,
        "forgotten": _forgotten(run, rows),
    }


def _base_name(run: Run) -> str:
    folder = run.pupil.folder
    return folder.name if folder.parent == SHIPPED else str(folder.resolve())


def _figures(run: Run) -> list[dict[str, Any]]:
    """Rows of the card's table: recordings, base, both kinds of weights at the step that was kept, what the base became."""
    rows: list[dict[str, Any]] = []
    every = [*run.texts, *run.others]
    if run.judges is not None:
        rows.append({"who": "the recordings", **figures(run.listen("recorded", run.texts, run.recorded))})
        if run.before is not None:
            rows.append({"who": run.pupil.who_before, **figures(run.listen("before", every, run.before))})
        if run.kept_before is not None:
            rows.append({"who": f"{run.pupil.who_kept}, before", **figures(run.listen("kept", every, run.kept_before))})
    best = run.watch.best
    assert best is not None
    if best.strength != 1:
        rows.append(_row(run, best, f"at strength {best.strength:g}"))
    for kind in (AVERAGED, TRAINED):
        seen = next(s for s in run.watch.seen if s.step == best.step and s.kind == kind)
        rows.append(_row(run, seen, f"weights {kind}"))
    kept = _kept(run, every)
    if kept is not None:
        rows.append({"who": f"{run.pupil.who_kept}, after", **figures(run.listen("after", every, kept))})
    return rows


def _kept(run: Run, texts: Sequence[str]) -> list[Audio] | None:
    """What somebody whom the base knew sounds like now that all weights have moved, where anybody can listen."""
    heard = run.settings.full and run.base_speaks and run.judges is not None
    return run.pupil.say_as_base(texts) if heard else None


def _row(run: Run, seen: Seen, what: str) -> dict[str, Any]:
    made = {k: v for k, v in seen.as_dict().items() if k not in ("step", "weights", "strength")}
    return {"who": f"{run.pupil.name}, {what}", **made}


def _judges(run: Run) -> str:
    if run.judges is None:
        return ""
    names = [str(run.judges.recogniser.settings["name"])]
    return " and ".join([*names, *([str(run.ears.speaker.settings["name"])] if run.ears.speaker else [])])


def _forgotten(run: Run, rows: Sequence[Mapping[str, Any]]) -> str:
    if not run.settings.full:
        return "The base itself lost nothing: this adapter is heard in its own voice's speech alone."
    if rows[-1]["who"].startswith(run.pupil.who_kept):
        return "All weights moved: the last row says what became of what the base could. The base's own folder is as it was."
    return "All weights moved; what became of what the base could was not measured. The base's own folder is as it was."
