"""The flow head: one backbone behind several ports, trained to know the velocity, followed to generate.

    loss     t ~ time law,  x0 ~ N(0, I),  x_t = point(x0, x1, t),  E |head(x_t, t, cond) - dx_t/dt|^2
    sample   x0 -> x1 by dx/dt = head(x, t, cond)                    (Lipman et al. 2023, equations 9 and 1)

A port may ask for self-conditioning (Chen et al. 2023, "Analog bits", section 3.2): the head is then told its own estimate of the
data, in sampling the last one, in training one from an earlier, noisier point of the same path with the same noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fm_audio.flow.coupling import Coupling, Independent
from fm_audio.flow.distillation import Lesson, Objective
from fm_audio.flow.guidance import GuidedField, Nulls, drop_conditions
from fm_audio.flow.noise import noise, noise_like
from fm_audio.flow.path import LinearPath, Path, point
from fm_audio.flow.resting import RestingField
from fm_audio.flow.runner import Runner
from fm_audio.flow.sampling import Sampling
from fm_audio.flow.solver import Euler, Field, Solver
from fm_audio.flow.time_law import TimeLaw, Uniform
from fm_audio.types import Cond, FmAudioError, Frames, Mask, Times

# Self-conditioning in training: from how long before t at most, and how often and far the estimate is moved.
EARLIER = 0.2
MOVED_SHARE, MOVED_BY = 0.3, 0.1


class FlowHead(nn.Module):
    """backbone (b m width) -> (b m width); ports by the name of their modality, all of the backbone's width.

    path defaults to `LinearPath()`, coupling to `Independent()`, time_law to `Uniform()`. condition_drop is the probability in
    [0, 1) that an item is trained without its conditions; guidance needs it above 0.
    """

    def __init__(
        self,
        backbone: nn.Module,
        ports: Mapping[str, nn.Module],
        path: Path | None = None,
        coupling: Coupling | None = None,
        time_law: TimeLaw | None = None,
        condition_drop: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0.0 <= condition_drop < 1.0:
            raise FmAudioError(f"FlowHead: condition_drop is {condition_drop}; give a probability in [0, 1), usually 0.1.")
        self.backbone, self.ports = backbone, nn.ModuleDict(ports)
        self.least_step = float(getattr(backbone, "least", 0.0))  # of a student that knows no shorter ones
        self.path: Path = path or LinearPath()
        self.coupling: Coupling = coupling or Independent()
        self.time_law: TimeLaw = time_law or Uniform()
        self.condition_drop = condition_drop
        self.objective: Objective | None = None
        self._runner: Runner | None = None

    def hasten(self, precision: str = "fp32", compile: bool = False) -> None:
        """From now on generate in this precision ("fp32" or "bf16"), compiled or not, as `flow.runner` says; the head is not
        trained any more. Raises FmAudioError where the device cannot."""
        if compile or precision != "fp32":
            self._runner = Runner(self.backbone, precision, compile)

    def loss(
        self,
        x1: Frames,
        mask: Mask,
        cond: Cond,
        port: str = "mel",
        generator: torch.Generator | None = None,
        x0_mean: Frames | None = None,
        scored: Mask | None = None,
        null: Nulls = None,
    ) -> Tensor:
        """Flow matching loss of data x1 (b n d) where mask (b n) keeps: a scalar in float32.

        generator draws t, noise and dropped conditions. scored (b n) limits what is counted, for infilling. x0_mean (b n d) moves
        the noise, as in `sample`; it gets no gradient. Where an `objective` is set (`flow.distillation`), it says what is learnt
        instead; null is what its teacher's guidance leans away from.
        """
        with torch.autocast(x1.device.type, enabled=False):
            pads = ~mask[..., None]
            x1 = x1.float().masked_fill(pads, 0.0)
            t = self.time_law.sample(x1.shape[0], generator, x1.device)  # b
            x0 = self.coupling(noise_like(x1, generator), x1, mask, cond)
            if self.objective is not None:
                x0 = x0 * self.objective.noise_scale(x1.shape[0], generator, x1.device)
            if x0_mean is not None:
                x0 = x0 + x0_mean.detach().float().masked_fill(pads, 0.0)
            x_t = point(self.path, x0, x1, t)
        if self.objective is not None:
            counted = mask if scored is None else scored & mask
            return self.objective(self, Lesson(x0, x1, mask, counted, cond, null, port, generator))
        cond = drop_conditions(cond, x1.shape[0], self.condition_drop, x1.device, generator)
        previous = self._earlier_estimate(x0, x1, t, mask, cond, port, generator)
        h = self._hidden(x_t, t, mask, cond, port, previous)
        with torch.autocast(x1.device.type, enabled=False):
            counted = mask if scored is None else scored & mask
            return self.ports[port].loss(h.float(), x0, x1, t, self.path, counted)  # type: ignore[operator]

    @torch.no_grad()
    def _earlier_estimate(
        self, x0: Frames, x1: Frames, t: Times, mask: Mask, cond: Cond, port: str, generator: torch.Generator | None
    ) -> Frames | None:
        """What self-conditioning tells in training: for some items the estimate from up to EARLIER before t, sometimes moved a
        little (so that errors of its own are no surprise), zeros for the others. None where the port does not ask."""
        share = self._self_conditioned(port)
        if share == 0.0:
            return None
        at = generator.device if generator is not None else torch.device("cpu")
        told, back, moved = torch.rand(3, len(t), generator=generator, device=at).to(t.device)
        some = (told < share).nonzero().flatten()
        rows = some if len(some) else torch.zeros(1, dtype=torch.long, device=t.device)  # every rank goes forward equally often
        with torch.autocast(x1.device.type, enabled=False):
            earlier = (t - EARLIER * back).clamp(min=0.0)[rows]
            x = point(self.path, x0[rows], x1[rows], earlier)
        prediction = self.predict(x, earlier, mask[rows], cond.rows(rows), port)
        found = self._estimate(prediction, x, earlier, mask[rows], port)
        size = MOVED_BY * (moved[rows] < MOVED_SHARE).view(-1, 1, 1)
        found = (found + size * noise_like(found, generator)).masked_fill(~mask[rows][..., None], 0.0)
        return torch.zeros_like(x1).index_copy(0, some, found[: len(some)])

    def _self_conditioned(self, port: str) -> float:
        """The share of training items that are told an estimate, 0 for ports that do not ask for it."""
        return getattr(self.ports[port], "self_conditioning", 0.0)

    def predict(
        self, x: Frames, t: Times, mask: Mask, cond: Cond, port: str = "mel", previous: Frames | None = None
    ) -> Float[Tensor, "b n k"]:
        """What the port reads at x (b n d), t (b,), float32: velocities, or the logits of tokens; zero at padded frames.

        previous (b n d) is the last estimate of the data, for ports that are self-conditioned; None is none.
        """
        t = t.clamp(max=self.ports[port].t_last)  # type: ignore[arg-type]
        h = self._hidden(x, t, mask, cond, port, previous)
        with torch.autocast(x.device.type, enabled=False):
            prediction = self.ports[port].read(h.float(), x, t, self.path)  # type: ignore[operator]
        return prediction.masked_fill(~mask[..., None], 0.0)

    def velocity(self, x: Frames, t: Times, mask: Mask, cond: Cond, port: str = "mel") -> Frames:
        """v (b n d) float32 at x (b n d), t (b,), zero at padded frames."""
        return self._to_velocity(self.predict(x, t, mask, cond, port), x, t, mask, port)

    def _to_velocity(self, prediction: Tensor, x: Frames, t: Times, mask: Mask, port: str) -> Frames:
        v = self.ports[port].velocity(prediction, x, t.clamp(max=self.ports[port].t_last), self.path)  # type: ignore
        return v.masked_fill(~mask[..., None], 0.0)

    def _estimate(self, prediction: Tensor, x: Frames, t: Times, mask: Mask, port: str) -> Frames:
        with torch.autocast(x.device.type, enabled=False):
            found = self.ports[port].data(prediction, x, t.clamp(max=self.ports[port].t_last), self.path)  # type: ignore
        return found.masked_fill(~mask[..., None], 0.0)

    def _hidden(self, x_t: Frames, t: Times, mask: Mask, cond: Cond, port: str, previous: Frames | None = None) -> Tensor:
        more = {"previous": previous} if self._self_conditioned(port) else {}
        h, token_mask = self.ports[port].embed(x_t, cond.frames, mask, **more)  # type: ignore[operator]
        run = self.backbone if self._runner is None else self._runner
        return run(h, t, token_mask, replace(cond, frames=None))

    def field(
        self, mask: Mask, cond: Cond, sampling: Sampling, port: str = "mel", null: Nulls = None
    ) -> GuidedField:
        """The guided velocity field (x (b n d), t (b,)) -> v, which counts forwards by item. null defaults to `cond.null()`."""
        if sampling.cache and self._runner is not None and self._runner.compiled:
            raise FmAudioError(
                f"sampling: cache is {sampling.cache} for a compiled network, which cannot decide by item; leave one out"
            )
        return GuidedField(
            lambda x, t, m, c, previous=None: self.predict(x, t, m, c, port, previous), mask, cond, sampling, self.path, null,
            lambda prediction, x, t, m: self._to_velocity(prediction, x, t, m, port),
            (lambda prediction, x, t, m: self._estimate(prediction, x, t, m, port)) if self._self_conditioned(port) else None,
        )  # fmt: skip

    @torch.no_grad()
    def sample(
        self,
        mask: Mask,
        cond: Cond,
        sampling: Sampling,
        seeds: Sequence[int],
        port: str = "mel",
        x0_mean: Frames | None = None,
        null: Nulls = None,
        begin: Frames | None = None,
        since: float = 0.0,
    ) -> Frames:
        """Data x1 (b n d) for mask (b n), zeros at padded frames; item i starts from the noise of seeds[i].

        null is what guidance leans away from, `cond.null()` where none is given; several are each for a part of the way.
        x0_mean (b n d) moves that noise, for models trained so: x0 = x0_mean + temperature * noise.
        With `begin` (b n d), data already, the way starts at t = `since` with that much of it and the rest noise, so that what
        comes is like it (Meng et al. 2022, "SDEdit"); all steps lie behind `since`, in [0, 1).
        """
        x0 = self.start(mask, sampling, seeds, port)
        if x0_mean is not None:
            x0 = x0 + x0_mean.float().masked_fill(~mask[..., None], 0.0)
        if begin is not None:
            x1 = begin.float().masked_fill(~mask[..., None], 0.0)
            x0 = point(self.path, x0, x1, torch.full((len(x0),), since, device=x0.device))
        return self.solve(self.field(mask, cond, sampling, port, null), x0, sampling, port, since if begin is not None else 0.0)

    def start(self, mask: Mask, sampling: Sampling, seeds: Sequence[int], port: str = "mel") -> Frames:
        """temperature * noise (b n d) of the seeds, zeros at padded frames."""
        channels: int = self.ports[port].channels  # type: ignore[assignment]
        return sampling.temperature * noise(seeds, mask.sum(1).tolist(), mask.shape[1], channels, mask.device)

    def solve(self, field: Field, x0: Frames, sampling: Sampling, port: str = "mel", since: float = 0.0) -> Frames:
        """Follow a field from x0 over the grid that sampling names, squeezed into [since, 1]; items rest if sampling says so."""
        solver, times = sampling.make_solver(self.path), since + (1.0 - since) * sampling.times(self.time_law)
        self._require_learnt(solver, sampling, times)
        if solver.forwards_per_step is None and self._self_conditioned(port):
            raise FmAudioError(
                f"sampling: the adaptive solver {sampling.solver!r} tries steps again, which a self-conditioned head answers "
                "otherwise each time; take 'euler'"
            )
        if sampling.rest > 0.0:
            field = RestingField(field, self.path, sampling.rest)
        return solver(field, x0, times)

    def _require_learnt(self, solver: Solver, sampling: Sampling, times: Tensor) -> None:
        """Refuse steps of a student that it was not taught."""
        shortest = float(times.diff().min())
        if self.least_step > 0.0 and (not isinstance(solver, Euler) or shortest < self.least_step - 1e-6):
            raise FmAudioError(
                f"sampling: solver {sampling.solver!r}, shortest step {shortest:.3g}: this student knows Euler's steps from "
                f"{self.least_step:g} of the way to all of it; take solver 'euler' in at most {1 / self.least_step:.0f} steps of "
                "the uniform grid, or its teacher"
            )

    def forwards(self, sampling: Sampling) -> int | None:
        """Network evaluations of one `sample`, guided ones counted twice; None where they depend on the item."""
        if sampling.depends_on_item:
            return None
        solver = sampling.make_solver()
        one = torch.ones(1, 1, dtype=torch.bool)
        count = GuidedField(lambda x, t, m, c: torch.zeros_like(x), one, Cond(), sampling, self.path)
        solver(count, torch.zeros(1, 1, 1), sampling.times(self.time_law))
        return int(count.forwards)
