"""What everybody is asked to say: Harvard sentences, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from fm_audio.evaluation.protocols import load_protocol

SPREAD = 0.25  # a batch's lengths lie evenly within this share of the mean, so that there is padding, as there is in earnest


@dataclass(frozen=True)
class Asked:
    """One text and the seconds that it shall take."""

    text: str
    seconds: float

    def frames(self, hz: float) -> int:
        """As many mel frames at this rate."""
        return max(1, round(self.seconds * hz))


def asked(batch: int, seconds: float) -> list[Asked]:
    """So many, `seconds` long on average."""
    texts = load_protocol("harvard40").sentences
    spread = [0.0] if batch == 1 else [SPREAD * (2 * i / (batch - 1) - 1) for i in range(batch)]
    return [Asked(texts[i % len(texts)], seconds * (1 + share)) for i, share in enumerate(spread)]
