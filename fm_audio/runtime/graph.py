"""One .onnx file, called as the module that it was made of; onnxruntime answers."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from fm_audio.extras import ONNX_COMMAND, require
from fm_audio.types import FmAudioError

ERRORS_ONLY = 3  # of onnxruntime's severities


class Graph(nn.Module):
    """The file at `path`, on the CPU, with as many threads as torch has.

    `weight` is empty. It stands for the weights, which lie in the file: answers go to the device where it is.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        runtime = require("onnxruntime", "an ONNX export", ONNX_COMMAND)
        if not path.is_file():
            raise FmAudioError(f"{path}: this part of the export is missing; export the model again")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = ERRORS_ONLY
        try:
            self.session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as e:  # onnxruntime's own have no base but this one
            raise FmAudioError(f"{path}: onnxruntime cannot load it ({str(e).splitlines()[0]}); export the model again") from e
        self.names = [given.name for given in self.session.get_inputs()]
        self.weight = nn.Parameter(torch.empty(0), requires_grad=False)

    def forward(self, *inputs: Tensor) -> Tensor:
        """The only answer of a file that has one."""
        [answer] = self.answers(*inputs)
        return answer

    def answers(self, *inputs: Tensor) -> list[Tensor]:
        """All answers, to inputs in the order of the file's."""
        if len(inputs) != len(self.names):
            takes = ", ".join(self.names)
            raise FmAudioError(f"{self.path}: is given {len(inputs)} inputs and takes {takes}; export the model again")
        told = {name: given.detach().cpu().numpy() for name, given in zip(self.names, inputs, strict=True)}
        return [torch.from_numpy(answer).to(self.weight.device) for answer in self.session.run(None, told)]
