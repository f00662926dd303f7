"""Log-mels of the first texts, one column for each way to say or to sound them: what a listener hears, to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from fm_audio.audio import Audio, AudioSpec

SENTENCES = 3


def draw_mels(
    path: Path, texts: Sequence[str], columns: Mapping[str, Sequence[Audio]], spec: AudioSpec, most: int = SENTENCES
) -> None:
    """Write a PNG of the first `most` texts by the columns; all mels by one scale, all sounds at the spec's rate."""
    from matplotlib.figure import Figure

    rows = min(most, len(texts))
    figure = Figure(figsize=(4.2 * len(columns), 2.2 * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, len(columns), squeeze=False)
    first = {name: [torch.from_numpy(sound.samples) for sound in sounds[:rows]] for name, sounds in columns.items()}
    mels = {name: [spec.log_mel(wave[None])[0] for wave in waves] for name, waves in first.items()}
    highest = max(float(mel.max()) for each in mels.values() for mel in each if len(mel))
    for column, (name, each) in enumerate(mels.items()):
        for row, mel in enumerate(each):
            place = axes[row][column]
            extent = (0.0, spec.seconds_of_frames(len(mel)), 0.0, float(spec.bands))
            place.imshow(mel.T.numpy(), origin="lower", aspect="auto", extent=extent, vmin=spec.floor, vmax=highest)
            place.set_title(name if row == 0 else "", fontsize=10)
            place.set_xlabel(texts[row][:60] if column == 0 else "", fontsize=8)
            place.tick_params(labelsize=7)
    figure.savefig(path, format="png", dpi=80)
