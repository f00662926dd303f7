"""What a run keeps and shows while it trains: the mean of its weights, how long it will take, pictures and sound of held-out
sentences, how much memory it took."""

from __future__ import annotations

import resource
import sys
from functools import partial
from time import perf_counter
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_info

from fm_audio.data.batches import JointBatch, SpeechBatch
from fm_audio.decoders.griffin_lim import GriffinLim
from fm_audio.decoders.harmonic import HarmonicPlusNoise
from fm_audio.decoders.latent import LatentDecoder
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.text_to_audio import TextToAudio


class PeakMemory(L.Callback):
    """Prints the most memory that the process has held (and the GPU's, where there is one) when a fit ends."""

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
        gpu = f", GPU {torch.cuda.max_memory_allocated() / 1e9:.2f} GB" if torch.cuda.is_available() else ""
        rank_zero_info(f"peak memory: {peak:.2f} GB{gpu}")


class RunningMean(WeightAveraging):
    """Lightning's running mean of the weights, validated and exported in their place. Its memory grows with the steps: after n
    of them it keeps min(decay, (1 + n) / (10 + n)) of itself, so that it forgets where training began."""

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__(use_buffers=False, multi_avg_fn=partial(_drawn_near, decay))


@torch.no_grad()
def _drawn_near(decay: float, means: Any, weights: Any, count: torch.Tensor) -> None:
    n = float(count)
    torch._foreach_lerp_(means, weights, 1 - min(decay, (1 + n) / (10 + n)))


class TimeLeft(L.Callback):
    """Puts the minutes until `max_steps` beside the loss in the progress bar, at the pace of this run so far."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.began, self.first = perf_counter(), trainer.global_step

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        done = trainer.global_step - self.first
        if trainer.max_steps > 0 and done > 0:
            minutes = (perf_counter() - self.began) / done * (trainer.max_steps - trainer.global_step) / 60
            pl_module.log("minutes_left", minutes, prog_bar=True, logger=False, batch_size=1)


class SpokenSentences(L.Callback):
    """At each validation, the first `sentences` held-out clips: recorded and generated mel, sound, and alignment if any.

    Goes to every TensorBoard and W&B logger of the trainer.
    """

    def __init__(self, sentences: int = 2, steps: int = 8):
        self.sentences, self.steps = sentences, steps
        self.batch: SpeechBatch | None = None

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if batch_idx > 0 or trainer.sanity_checking or not trainer.is_global_zero:
            return
        task: Any = pl_module.task
        if isinstance(batch, JointBatch):
            task, batch = getattr(task, "speech", None), batch.speech
        if task is None:
            return
        vocoder = _decoder(task)
        for i, example in enumerate(task.examples(batch, min(self.sentences, len(batch)), Sampling(steps=self.steps))):
            recorded = batch.mel[i, batch.mask[i]].float().cpu().numpy()
            durations = np.zeros(0) if example.durations_frames is None else example.durations_frames.cpu().numpy()
            figure = draw(recorded, example.mel.float().cpu().numpy(), durations, batch.texts[i])
            mel = example.mel[None].float().cpu()
            wave = vocoder.decode(mel, torch.ones(mel.shape[:2], dtype=torch.bool))[0].numpy()
            self._log(trainer, f"sentence{i}", figure, wave, task.spec.sample_rate)

    def _log(self, trainer: L.Trainer, name: str, figure: Any, wave: np.ndarray, sample_rate: int) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_figure(f"mel/{name}", figure, trainer.global_step)
                logger.experiment.add_audio(f"audio/{name}", wave[None], trainer.global_step, sample_rate)
            elif isinstance(logger, WandbLogger):
                logger.log_image(f"mel/{name}", [figure], step=trainer.global_step)
                logger.log_audio(f"audio/{name}", [wave], step=trainer.global_step, sample_rate=[sample_rate])


def _decoder(task: Any) -> Any:
    """What makes a task's frames heard without weights of its own."""
    if task.spec.codec is not None:
        return LatentDecoder(task.spec)
    return GriffinLim(task.spec) if isinstance(task, TextToAudio) else HarmonicPlusNoise(task.spec)


def draw(recorded: np.ndarray, generated: np.ndarray, durations: np.ndarray, title: str) -> Any:
    """A figure: recorded mel (n bands) with the borders of its symbols (m durations in frames), generated mel below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6), layout="constrained")
    above, below = figure.subplots(2, 1)
    above.imshow(recorded.T, origin="lower", aspect="auto")
    above.vlines(np.cumsum(durations)[:-1], 0, recorded.shape[1] - 1, colors="white", linewidths=0.4)
    above.set(title=title[:100], ylabel="recorded, symbol borders")
    below.imshow(generated.T, origin="lower", aspect="auto")
    below.set(xlabel="frames", ylabel="generated")
    return figure
