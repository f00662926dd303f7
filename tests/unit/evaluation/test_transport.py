"""Transport: ways are straighter in two dimensions, mels gain next to nothing, and labels skew the noise unless they weigh."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from fm_audio.audio import AudioSpec, load_audio
from fm_audio.evaluation.toy_flows import (
    ToyFlow,
    eight_gaussians,
    floor,
    quality,
    skew,
    straightness,
    train,
    two_moons,
    wasserstein,
)
from fm_audio.evaluation.transport import crops, main, shortening
from fm_audio.flow.coupling import Independent, MinibatchOT

SPEECH = Path(__file__).parents[2] / "data" / "kathleen"


class Known(ToyFlow):
    """A velocity that is known: everything moves by the same, or turns about the origin."""

    def __init__(self, turns: bool) -> None:
        super().__init__()
        self.turns = turns

    def forward(self, x: torch.Tensor, t: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return torch.stack([-x[:, 1], x[:, 0]], -1) if self.turns else torch.ones_like(x)


def test_distance_and_straightness_are_what_they_must_be() -> None:
    x, label = torch.randn(200, 2), torch.zeros(200, dtype=torch.long)
    assert wasserstein(x, x[torch.randperm(200)] + torch.tensor([3.0, 4.0])) == pytest.approx(5.0, rel=1e-4)
    assert wasserstein(x, x.flip(0)) == pytest.approx(0.0, abs=1e-3)
    assert straightness(Known(False), x, label) == pytest.approx(0.0, abs=1e-5)
    # By an angle of 1: speed 1 along the arc, a chord of 2 sin(1/2), so ∫ |v|² − |chord|² over |chord|².
    chord = (2 * torch.sin(torch.tensor(0.5))) ** 2
    assert straightness(Known(True), x, label) == pytest.approx(float((1 - chord) / chord), rel=0.1)
    for toy in (eight_gaussians, two_moons):
        drawn = toy(4000, torch.Generator().manual_seed(0))
        assert drawn.x.mean(0).norm() < 0.15 and drawn.label.unique().numel() == drawn.labels


def test_what_an_assignment_gains_is_lost_as_dimensions_grow() -> None:
    spec = AudioSpec()
    waves = [load_audio(path, spec.sample_rate).samples for path in sorted(SPEECH.glob("*.opus"))]
    mels = [part.mT for wave in waves for part in spec.log_mel(torch.from_numpy(wave)[None])[0].unfold(0, 64, 4)]
    assert len(mels) >= 64
    g = torch.Generator().manual_seed(0)
    gains = [shortening(crops(mels, 64, frames, g), g)[0] for frames in (1, 8, 64)]
    two = shortening(eight_gaussians(64, g).x[:, None], g)[0]
    assert two > 0.3 and 0.0 < gains[2] < gains[1] < gains[0] < two / 2
    assert gains[2] < 0.03


def test_labels_skew_the_noise_unless_they_weigh() -> None:
    for toy in ("two moons", "eight gaussians"):
        assert skew(MinibatchOT(0.0), toy, 64) > 0.3
        assert skew(MinibatchOT(100.0), toy, 64) < 0.15 and skew(Independent(), toy, 64) < 0.15


@pytest.mark.slow
def test_transport_makes_ways_straighter_and_one_step_better() -> None:
    made = {group: train("eight gaussians", c, group, steps=500) for group, c in ((1, Independent()), (128, MinibatchOT(0.0)))}
    g = torch.Generator().manual_seed(0)
    x0, label = torch.randn(500, 2, generator=g), torch.zeros(500, dtype=torch.long)
    assert straightness(made[128], x0, label) < straightness(made[1], x0, label) / 3
    assert quality(made[128], "eight gaussians", 1, 500) < quality(made[1], "eight gaussians", 1, 500) / 2


@pytest.mark.slow
def test_a_conditional_flow_is_biased_by_plain_transport_and_mended_by_weight() -> None:
    ways = {"plain": MinibatchOT(0.0), "weighed": MinibatchOT(100.0), "independent": Independent()}
    off = {
        name: quality(train("two moons", coupling, 128, conditional=True, steps=600), "two moons", 50, 500)
        for name, coupling in ways.items()
    }
    assert off["plain"] > 1.5 * off["weighed"]
    assert off["weighed"] < 1.5 * off["independent"] and floor("two moons", True, 500) < off["plain"]


@pytest.mark.slow
def test_the_command_prints_and_draws_and_is_the_same_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        asked = ["--steps", "2", "--json", str(tmp_path / f"{name}.json"), "--picture", str(tmp_path / f"{name}.png")]
        assert main(asked) == 0
    assert (tmp_path / "a.json").read_text() == (tmp_path / "b.json").read_text()
    assert len(json.loads((tmp_path / "a.json").read_text())["toys"]) == 8
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG" and "straightness" in capsys.readouterr().out
    assert main(["--clips", "3"]) == 2 and "give 256 clips or more" in capsys.readouterr().err
