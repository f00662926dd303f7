"""What an adaptation says of itself: plain values that the card shows and --json prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from fm_audio.adapt.ears import figures
from fm_audio.adapt.watch import AVERAGED, TRAINED, Seen
from fm_audio.voices.find import SHIPPED

if TYPE_CHECKING:
    from fm_audio.adapt.adaptation import Run


def report_of(run: Run, command: str) -> dict[str, Any]:
    """Plain values: what the card shows and --json prints."""
    best, settings = run.watch.best, run.settings
    assert best is not None
    base = {"name": _base_name(run), "fingerprint": run.fingerprint}
    facts = {"speaker": run.name, "recorded": not run.source.synthetic, "licence": run.source.licence,
             "consent": settings.consent, "language": run.source.language}  # fmt: skip
    training = {
        "rank": 0 if settings.full else settings.rank, "targets": list(settings.targets), "parameters": run.trained,
        "steps": run.steps, "minutes": round(run.minutes, 2), "device": settings.device,
        "threads": torch.get_num_threads(), "start": run.start, "loss_at_start": round(run.loss_at_start, 4),
        "early": run.ears.both,
        "replay_share": settings.replay_share if settings.replay else 0.0, "learning_rate": settings.rate,
    }  # fmt: skip
    return {
        "voice": run.name,
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
        "figures": _figures(run),
        "looks": [seen.as_dict() for seen in run.watch.seen],
        "sentences": len(run.texts),
        "others": len(run.others),
        "judges": _judges(run),
        "missing": run.ears.missing,
        "forgotten": _forgotten(run),
    }


def _base_name(run: Run) -> str:
    return run.entry.folder.name if run.entry.folder.parent == SHIPPED else str(run.entry.folder.resolve())


def _figures(run: Run) -> list[dict[str, Any]]:
    """Rows of the card's table: recordings, base, both kinds of weights at the step that was kept, what the base became."""
    rows: list[dict[str, Any]] = []
    every = [*run.texts, *run.others]
    if run.judges is not None:
        rows.append({"who": "the recordings", **figures(run.listen("recorded", run.texts, run.recorded))})
        if run.before is not None:
            rows.append({"who": f"base voice {run.base_name}, before", **figures(run.listen("before", every, run.before))})
    best = run.watch.best
    assert best is not None
    if best.strength != 1:
        rows.append(_row(run, best, f"at strength {best.strength:g}"))
    for kind in (AVERAGED, TRAINED):
        seen = next(s for s in run.watch.seen if s.step == best.step and s.kind == kind)
        rows.append(_row(run, seen, f"weights {kind}"))
    if run.settings.full and run.base_speaks and run.judges is not None:
        after = run.listen("after", every, run.spoken(run.base_name, every))
        rows.append({"who": f"base voice {run.base_name}, after", **figures(after)})
    return rows


def _row(run: Run, seen: Seen, what: str) -> dict[str, Any]:
    made = {k: v for k, v in seen.as_dict().items() if k not in ("step", "weights", "strength")}
    return {"who": f"{run.name}, {what}", **made}


def _judges(run: Run) -> str:
    if run.judges is None:
        return ""
    names = [str(run.judges.recogniser.settings["name"])]
    return " and ".join([*names, *([str(run.ears.speaker.settings["name"])] if run.ears.speaker else [])])


def _forgotten(run: Run) -> str:
    if not run.settings.full:
        return "The base's own voices lost nothing: this adapter is heard in its own voice's speech alone."
    if run.base_speaks and run.judges is not None:
        return "All weights moved: the last row says what the base's voice became. The base's own folder is as it was."
    return "All weights moved; what the base's voices became was not measured. The base's own folder is as it was."
