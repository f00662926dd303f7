"""Training a vocoder: first reconstruction alone, then against discriminators.

    generator       u(mel loss) + λ · mean_k u(max(0, 1 − D_k(decoded)) + φ · |features_k(wave) − features_k(decoded)|)
    discriminators  Σ_k max(0, 1 − D_k(wave)) + max(0, 1 + D_k(decoded))

u(loss) is the gradient of a loss at the decoded wave, scaled to length 1: the balancer of EnCodec (Défossez et al. 2022, arXiv
2210.13438, section 3.4). Unbalanced, the logarithm's gradient outweighs a period discriminator's a hundredfold, and a short
training never learns pulses. Losses as in Vocos (Siuzdak 2023, arXiv 2306.00814, section 3.3), the mel loss at several scales.
Batches are waves (b s); the log-mel comes from the decoder's own mel contract.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.audio import Audio, AudioSpec
from fm_audio.data.waves import margin_frames
from fm_audio.mel_distance import MultiScaleMelLoss
from fm_audio.training.discriminators import Judgement
from fm_audio.types import Frames, Wave, length_mask


class VocoderModule(lightning.LightningModule):
    """`decoder(x) -> wave` against `discriminators(wave) -> judgements`, optimised by hand so that both optimisers are saved.

    Learning rates follow half a cosine from `lr` to zero over `total_steps` generator steps; until
    `adversarial_start_steps` only the reconstruction loss is used, and over the next `adversarial_ramp_steps` the judges' say
    grows from nothing, for at first they know nothing. `averaged` is the exponential mean of the decoder's weights
    (`ema_decay`): the one to validate and to ship. Validation writes the first clips to `samples/` under the run's folder.
    """

    steps: Tensor

    def __init__(
        self,
        decoder: nn.Module,
        discriminators: nn.Module,
        total_steps: int = 100_000,
        adversarial_start_steps: int = 0,
        adversarial_ramp_steps: int = 500,
        lr: float = 5e-4,
        discriminator_lr: float = 5e-4,
        betas: tuple[float, float] = (0.8, 0.99),
        adversarial_weight: float = 1.0,
        feature_weight: float = 5.0,
        ema_decay: float = 0.999,
        clip_norm: float = 10.0,
        saved_samples: int = 2,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.decoder, self.discriminators = decoder, discriminators
        self.spec: AudioSpec = decoder.spec  # type: ignore[assignment]
        self.averaged = copy.deepcopy(decoder).requires_grad_(False).eval()
        self.reconstruction = MultiScaleMelLoss(self.spec.sample_rate)
        self.total_steps, self.adversarial_start_steps = total_steps, adversarial_start_steps
        self.adversarial_ramp_steps = adversarial_ramp_steps
        self.lr, self.discriminator_lr, self.betas = lr, discriminator_lr, betas
        self.adversarial_weight, self.feature_weight = adversarial_weight, feature_weight
        self.ema_decay, self.clip_norm, self.saved_samples = ema_decay, clip_norm, saved_samples
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [
            torch.optim.AdamW(self.decoder.parameters(), self.lr, self.betas),
            torch.optim.AdamW(self.discriminators.parameters(), self.discriminator_lr, self.betas),
        ]

    def training_step(self, batch: Wave, batch_index: int) -> None:
        generator, discriminator = self.optimizers()  # type: ignore[attr-defined, misc]
        wave, x = self.pair(batch)
        decoded = self.decoder(x)
        heard = decoded.detach().requires_grad_()
        pull = self.mel_pull(wave, heard)
        judged_steps = int(self.steps) - self.adversarial_start_steps
        if judged_steps >= 0:
            real, fake = self.discriminators(wave), self.discriminators(heard)
            weight = self.adversarial_weight * min(1.0, judged_steps / max(1, self.adversarial_ramp_steps))
            pull = pull + weight * self.adversarial_pull(real, fake, heard)
            self._step(discriminator, self.discriminators, self.discriminator_loss(real, fake), self.discriminator_lr)
        self._step(generator, self.decoder, (pull * decoded).sum(), self.lr)
        self._average()
        self.steps += 1

    def pair(self, batch: Wave) -> tuple[Float[Tensor, "b inner"], Frames]:
        """Crops with margins (b s) -> inner wave (b n·hop) and its log-mel (b n bands), which no edge has touched."""
        margin = margin_frames(self.spec)
        with torch.autocast(batch.device.type, enabled=False):
            x = self.spec.log_mel(batch.float())[:, margin:-margin]
        cut = self.spec.samples_of_frames(margin)
        return batch[:, cut:-cut], x

    def mel_pull(self, wave: Wave, heard: Wave) -> Wave:
        """Unit gradient (b s) of the mel loss at the wave `heard`."""
        mel = self.reconstruction(wave, heard)
        self.log("train/mel", mel.detach(), prog_bar=True)
        return unit_gradient(mel, heard)

    def adversarial_pull(self, real: Sequence[Judgement], fake: Sequence[Judgement], heard: Wave) -> Wave:
        """Mean of every judge's unit gradient (b s) at the wave `heard`; hinge and feature distance together make one judge."""
        hinges = [F.relu(1 - logits.float()).mean() for logits, _ in fake]
        features = [feature_distance(r, f) for (_, r), (_, f) in zip(real, fake, strict=True)]
        self.log("train/hinge", torch.stack(hinges).detach().mean(), prog_bar=True)
        self.log("train/features", torch.stack(features).detach().mean(), prog_bar=True)
        losses = [h + self.feature_weight * f for h, f in zip(hinges, features, strict=True)]
        return torch.stack([unit_gradient(loss, heard) for loss in losses]).mean(0)

    def discriminator_loss(self, real: Sequence[Judgement], fake: Sequence[Judgement]) -> Tensor:
        """Hinge loss, summed over the discriminators."""
        terms = [F.relu(1 - r.float()).mean() + F.relu(1 + f.float()).mean() for (r, _), (f, _) in zip(real, fake, strict=True)]
        self.log("train/discriminator", torch.stack(terms).detach().mean(), prog_bar=True)
        return torch.stack(terms).sum()

    def validation_step(self, batch: Wave, batch_index: int) -> None:
        """Mel distance in the contract's own normalised units, and the multi-scale distance, of the averaged decoder."""
        x = self.spec.log_mel(batch)
        lengths = torch.full((len(batch),), x.shape[1], device=batch.device)
        decoded = self.averaged.decode(x, length_mask(lengths)).float()  # type: ignore[operator]
        wave = batch[:, : decoded.shape[-1]]
        self.log("val/mel", (self.spec.log_mel(decoded) - x).abs().mean(), batch_size=1, prog_bar=True)
        self.log("val/scales", self.reconstruction(wave, decoded), batch_size=1, prog_bar=True)
        if batch_index < self.saved_samples and not self.trainer.sanity_checking:
            self._save(decoded[0], f"{int(self.steps):07d}_{batch_index}.wav")

    def _save(self, wave: Tensor, name: str) -> None:
        folder = Path(self.trainer.default_root_dir) / "samples"
        folder.mkdir(parents=True, exist_ok=True)
        Audio(wave.cpu().numpy(), self.spec.sample_rate).save(folder / name)

    def _step(self, optimiser: Any, part: nn.Module, loss: Tensor, lr: float) -> None:
        for group in optimiser.param_groups:
            group["lr"] = lr * half_cosine(int(self.steps) / self.total_steps)
        optimiser.zero_grad()
        self.manual_backward(loss)
        nn.utils.clip_grad_norm_(part.parameters(), self.clip_norm)
        optimiser.step()

    @torch.no_grad()
    def _average(self) -> None:
        """The mean warms up, so that early weights are soon forgotten."""
        decay = min(self.ema_decay, (1 + int(self.steps)) / (10 + int(self.steps)))
        torch._foreach_lerp_(list(self.averaged.parameters()), list(self.decoder.parameters()), 1 - decay)


def feature_distance(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Mean absolute difference of one discriminator's features, averaged over its layers."""
    return torch.stack([(f.float() - r.detach().float()).abs().mean() for r, f in zip(real, fake, strict=True)]).mean()


def unit_gradient(loss: Tensor, wave: Tensor) -> Tensor:
    """The gradient of a scalar at the wave, scaled to length 1 (zero where the loss is flat)."""
    (gradient,) = torch.autograd.grad(loss, wave, retain_graph=True)
    return gradient / gradient.norm().clamp(min=1e-12)


def half_cosine(progress: float) -> float:
    """1 at the start, 0 at the end and after."""
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
