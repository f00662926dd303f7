"""Distillation as a flag of any recipe: the task begins as its teacher, and its head learns to take fewer steps.

    fm-audio fit --config recipes/aligned_tts/taught.yaml --model.init_args.distill fm_audio.training.distill.Distill
        --model.init_args.distill.init_args.teacher fm_audio/voices/english
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from fm_audio.backbones.two_times import TwoTimes
from fm_audio.checkpoint import load_into, load_model, read_config
from fm_audio.flow.distillation import QUIETEST, WAY_STEPS, FlowMap, Reflow, Steps, Ways
from fm_audio.flow.head import FlowHead
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.text_writer import require_guidance_was_trained
from fm_audio.types import FmAudioError
from fm_audio.voices.find import reachable
from fm_audio.voices.presets import sampling_of
from fm_audio.voices.reference import own_reference

OBJECTIVES: Mapping[str, Any] = {"flow_map": FlowMap, "steps": Steps, "reflow": Reflow, "ways": Ways}
OF_TWO_TIMES: Mapping[str, float] = {"flow_map": 0.0, "ways": 1 / WAY_STEPS}  # and the least gap that it learns
ITS_OWN = ("format", "fm_audio", "model", "sampling", "reference")  # of a student's config; all else is its teacher's


class Distill:
    """teacher: the folder of a model of the same recipe. objective: flow_map, steps, reflow or ways, of
    `fm_audio.flow.distillation`. guidance: the weight that the teacher is followed with, in the interval and as rescaled as it
    samples by itself; the student then needs none. temperatures: the least and the most that noise is scaled by, near the
    student's own if it is to have one alone."""

    def __init__(
        self,
        teacher: str,
        objective: str = "flow_map",
        guidance: float = 1.0,
        temperatures: tuple[float, float] = (QUIETEST, 1.0),
    ) -> None:
        if objective not in OBJECTIVES:
            raise FmAudioError(f"Distill: objective is {objective!r}; there are {', '.join(OBJECTIVES)}")
        if not 0.0 <= temperatures[0] <= temperatures[1] < math.inf:
            raise FmAudioError(f"Distill: temperatures are {temperatures}; give the least and the most, often 0.5 and 1")
        self.teacher, self.objective, self.guidance, self.temperatures = teacher, objective, guidance, temperatures

    def begin(self, task: nn.Module) -> None:
        """Give the task its teacher's weights and what to learn; all but its head stays as it is, and drops nothing out.

        Raises FmAudioError where the teacher is another kind of model, and where the task has no flow head or several.
        """
        load_into(task, self.teacher)
        _, head = _head_of(task)
        told = [name for name in head.ports if head._self_conditioned(name)]
        if told:
            raise FmAudioError(f"Distill: the port {told[0]} is self-conditioned, students are told no estimate; train without")
        model = load_model(self.teacher)
        _, teacher = _head_of(model)
        followed = replace(teacher_sampling(self.teacher, model), guidance=self.guidance)
        for part in task.modules():
            drop: Any = getattr(part, "condition_drop", None)
            if drop is not None and part is not head:  # some tasks drop conditions in the head's place
                require_guidance_was_trained(followed, drop)
        objective = OBJECTIVES[self.objective](teacher, followed)
        objective.temperatures = self.temperatures
        head.objective = objective
        for part in task.modules():
            if isinstance(part, nn.Dropout) and part not in set(head.modules()):
                part.p = 0.0
        task.requires_grad_(False)
        head.requires_grad_(True)
        if self.objective in OF_TWO_TIMES:
            head.backbone = TwoTimes(head.backbone, OF_TWO_TIMES[self.objective])

    def exported(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """The node of the task as it is after `begin`."""
        arguments = dict(node["init_args"])
        if self.objective in OF_TWO_TIMES:
            inner = {"inner": arguments["backbone"], "least": OF_TWO_TIMES[self.objective]}
            wrapper = f"{TwoTimes.__module__}.{TwoTimes.__qualname__}"
            arguments["backbone"] = {"class_path": wrapper, "init_args": inner}
        return {**node, "init_args": arguments}

    def beside(self, folder: Path) -> dict[str, Any]:
        """What stands beside the model in the config of a student in `folder`: what stands in the teacher's (voices, vocoder,
        where it comes from), and its sampling without guidance. The recording that a teacher clones from by itself is copied."""
        teacher = Path(self.teacher)
        config = read_config(teacher)
        kept = {k: v for k, v in config.items() if k not in ITS_OWN}
        if "vocoder" in kept:
            kept["vocoder"] = reachable(kept["vocoder"], teacher)
        reference = own_reference(teacher, config)
        if reference is not None:
            folder.mkdir(parents=True, exist_ok=True)
            kept["reference"] = reference.beside(folder)
        sampling = {k: v for k, v in config.get("sampling", {}).items() if k == "temperature"}
        own = {"steps": 2, "guidance": 1.0, "guidance_rescale": 0.0}
        return {**kept, "sampling": {**sampling, **own}, "distilled": self.objective}


def teacher_sampling(folder: str | Path, model: nn.Module) -> Sampling:
    """How the model of a folder samples by itself, presets included."""
    usual: Any = getattr(model, "default_sampling", None)
    return sampling_of(Path(folder), read_config(folder), default=usual() if usual is not None else None)


def _head_of(task: nn.Module) -> tuple[str, FlowHead]:
    heads = [(name, part) for name, part in task.named_modules() if isinstance(part, FlowHead)]
    if len(heads) != 1:
        raise FmAudioError(f"Distill: {type(task).__name__} has {len(heads)} flow heads; a task with one can be distilled")
    return heads[0]
