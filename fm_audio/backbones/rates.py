"""Sequences at lower rates: lengths made divisible, and masks that say which coarse positions cover something kept."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from fm_audio.types import Frames, Mask


def pad_to_multiple(h: Frames, mask: Mask, factor: int) -> tuple[Float[Tensor, "b n2 d"], Bool[Tensor, "b n2"]]:
    """h with zeros wherever it is not kept, and both made longer at the end until n divides by `factor`."""
    more = -h.shape[1] % factor
    h = h.masked_fill(~mask[..., None], 0.0)
    return F.pad(h, (0, 0, 0, more)), F.pad(mask, (0, more), value=False)


def coarser(mask: Mask, factor: int) -> Bool[Tensor, "b n2"]:
    """The mask of groups of `factor` positions: a group is kept where any of its positions is."""
    return mask.unflatten(1, (-1, factor)).any(-1)
