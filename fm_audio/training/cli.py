"""`fm-audio fit | validate | test`: LightningCLI over one complete YAML.

What must agree in several places stands once at the top of a recipe and is handed to all who need it: `spec` (the mel contract)
to the data and to the task or decoder, `frontend` to the data and to the task; of tasks that write text, the vocabularies
`source` and `target` likewise; where speech is heard through a frozen encoder, `listener`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import lightning as L
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback

from fm_audio.audio import AudioSpec
from fm_audio.data.frozen_speech import FrozenListener
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.data.text.vocabulary import Vocabulary
from fm_audio.training.checkpoints import WholeCheckpoints
from fm_audio.training.parser import RecipeParser
from fm_audio.training.precision import warn_of_emulation
from fm_audio.training.sharding import register
from fm_audio.types import FmAudioError

SHARED = {
    "spec": ("data.init_args.spec", "model.init_args.task.init_args.spec", "model.init_args.decoder.init_args.spec"),
    "frontend": ("data.init_args.frontend", "model.init_args.task.init_args.frontend"),
    "source": ("data.init_args.source", "model.init_args.task.init_args.source"),
    "target": ("data.init_args.target", "model.init_args.task.init_args.target"),
    "listener": ("data.init_args.listener", "model.init_args.task.init_args.listener"),
}


class RecipeCLI(LightningCLI):
    """A recipe: spec, frontend, model, data, trainer."""

    def __init__(self, argv: Sequence[str], run: bool = True):
        """argv begins with fit, validate or test. With `run` False it begins with the options, and only parses and builds."""
        register()
        super().__init__(
            L.LightningModule,
            L.LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            seed_everything_default=0,
            save_config_kwargs={"overwrite": True},
            save_config_callback=SaveConfigCallback,
            parser_class=RecipeParser,
            parser_kwargs={"prog": "fm-audio"},
            args=list(argv),
            run=run,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--spec", type=AudioSpec, default=AudioSpec(), help="the mel contract")
        parser.add_argument("--frontend", type=FrontEnd | None, default=None, help="text to symbols")
        parser.add_argument("--source", type=Vocabulary | None, default=None, help="what texts are asked in")
        parser.add_argument("--target", type=Vocabulary | None, default=None, help="what texts are written in")
        parser.add_argument("--listener", type=FrozenListener | None, default=None, help="a frozen encoder to hear through")
        for source, targets in SHARED.items():
            for target in targets:
                parser.link_arguments(source, target)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.config = parser.parse_args(args)

    def instantiate_classes(self) -> None:
        """Raises the `FmAudioError` of a part that refuses its arguments, which jsonargparse wraps in pages of values."""
        try:
            super().instantiate_classes()
        except ValueError as e:
            wrapped: BaseException | None = e
            while wrapped is not None and not isinstance(wrapped, FmAudioError):
                wrapped = wrapped.__cause__
            if wrapped is None or wrapped is e:
                raise
            raise FmAudioError(str(wrapped)) from e

    def before_fit(self) -> None:
        warn_of_emulation(self.trainer)

    def _parse_ckpt_path(self) -> None:
        """A checkpoint gives numbers only; what is built stands in the recipe."""

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        plugins = self._get(self.config_init, "trainer").get("plugins") or []
        plugins = plugins if isinstance(plugins, list) else [plugins]
        return super().instantiate_trainer(plugins=[*plugins, WholeCheckpoints()], **kwargs)


def main(argv: Sequence[str]) -> int:
    """argv begins with fit, validate or test."""
    # One thread spinning against another on a busy machine costs more than it brings; sleeping ones give way.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    RecipeCLI(argv)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
