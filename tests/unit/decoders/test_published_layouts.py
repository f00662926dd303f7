"""At published size, our decoders hold exactly the tensors of the published checkpoints."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from fm_audio.audio import AudioSpec
from fm_audio.decoders.hifigan import HiFiGAN
from fm_audio.decoders.istft import ISTFT
from fm_audio.decoders.vocos import Vocos
from fm_audio.types import length_mask

Shapes = dict[str, tuple[int, ...]]


def shapes(module: nn.Module) -> Shapes:
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}


def published_vocos() -> Shapes:
    """charactr/vocos-mel-24khz without its feature extractor."""
    layout: Shapes = {"backbone.embed.weight": (512, 100, 7), "backbone.embed.bias": (512,)}
    for i in range(8):
        block = f"backbone.convnext.{i}."
        layout |= {block + "gamma": (512,), block + "dwconv.weight": (512, 1, 7), block + "dwconv.bias": (512,)}
        layout |= {block + "pwconv1.weight": (1536, 512), block + "pwconv1.bias": (1536,)}
        layout |= {block + "pwconv2.weight": (512, 1536), block + "pwconv2.bias": (512,)}
        layout |= {block + "norm.weight": (512,), block + "norm.bias": (512,)}
    for norm in ("backbone.norm.", "backbone.final_layer_norm."):
        layout |= {norm + "weight": (512,), norm + "bias": (512,)}
    return layout | {"head.out.weight": (1026, 512), "head.out.bias": (1026,), "head.istft.window": (1024,)}


def published_hifigan() -> Shapes:
    """generator_v1 with its weight norm."""
    convolutions: Shapes = {"conv_pre": (512, 80, 7), "conv_post": (1, 32, 7)}
    widths = [512, 256, 128, 64, 32]
    for i, kernel in enumerate((16, 16, 4, 4)):
        convolutions[f"ups.{i}"] = (widths[i], widths[i + 1], kernel)
        for j, width_of_kernel in enumerate((3, 7, 11)):
            for k in range(3):
                for part in ("convs1", "convs2"):
                    convolutions[f"resblocks.{3 * i + j}.{part}.{k}"] = (widths[i + 1], widths[i + 1], width_of_kernel)
    layout: Shapes = {}
    for name, shape in convolutions.items():
        outputs = shape[1] if name.startswith("ups") else shape[0]
        layout |= {f"{name}.bias": (outputs,), f"{name}.weight_g": (shape[0], 1, 1), f"{name}.weight_v": shape}
    return layout


def test_vocos_loads_the_published_layout_strictly() -> None:
    layout = published_vocos()
    with torch.device("meta"):
        model = Vocos(AudioSpec(log_floor=1e-7))
    assert shapes(model) == {k: v for k, v in layout.items() if k != "head.istft.window"}
    state = {key: torch.full(shape, 0.5) for key, shape in layout.items()}
    model.to_empty(device="cpu").load_state_dict(state)
    assert all(value.eq(0.5).all() for value in model.state_dict().values())


def test_hifigan_loads_the_published_layout_and_folds_its_weight_norm() -> None:
    spec = AudioSpec(sample_rate=22_050, bands=80, fmax_hz=8000, filter_scale="slaney", filter_norm="slaney", centred=False)
    layout = published_hifigan()
    assert sum(torch.Size(shape).numel() for shape in layout.values()) == 13_936_130
    model = HiFiGAN(spec)
    assert sum(p.numel() for p in model.parameters()) == 13_926_017
    model.load_state_dict({key: torch.ones(shape) for key, shape in layout.items()})
    up = model.ups[0].weight
    torch.testing.assert_close(up, torch.full_like(up, (256 * 16) ** -0.5))


def test_both_spellings_of_weight_norm_fold_to_the_same_numbers() -> None:
    spec = AudioSpec(sample_rate=8000, n_fft=64, hop_samples=16, window_samples=64, bands=12)
    options = {"channels": 8, "rates": (4, 4), "kernels": (8, 8), "block_kernels": (3,)}
    normed = HiFiGAN(spec, **options)
    for part in list(normed.modules()):
        if isinstance(part, (nn.Conv1d, nn.ConvTranspose1d)):
            weight_norm(part)
            part.parametrizations.weight.original0.data.mul_(1.7)
    new = dict(normed.state_dict())
    old = {k.replace("parametrizations.weight.original0", "weight_g").replace("parametrizations.weight.original1", "weight_v"): v
           for k, v in new.items()}
    x = torch.randn(1, 6, 12)
    for state in (new, old):
        folded = HiFiGAN(spec, **options)
        folded.load_state_dict(state)
        torch.testing.assert_close(folded(x), normed(x), rtol=1e-4, atol=1e-6)


def test_the_istft_undoes_a_real_stft_and_agrees_with_torch() -> None:
    wave = torch.randn(2, 40 * 256)
    window = torch.hann_window(1024)
    spectrum = torch.stft(wave, 1024, 256, window=window, return_complex=True)[..., :40]
    istft = ISTFT(1024, 256, 1024)
    made = istft(spectrum.mT, torch.ones(2, 40, dtype=torch.bool))
    # The last hop lacks frame 40, so its edge is not determined by the 40 frames.
    torch.testing.assert_close(made[:, : 39 * 256], wave[:, : 39 * 256], rtol=1e-4, atol=1e-4)
    theirs = torch.istft(spectrum, 1024, 256, window=window, length=40 * 256)
    torch.testing.assert_close(made, theirs, rtol=1e-4, atol=1e-4)


def test_analysis_and_synthesis_invert_each_other_off_centre_too() -> None:
    for centred in (True, False):
        istft = ISTFT(64, 16, 64, centred)
        wave = torch.randn(2, 20 * 16)
        made = istft(istft.analyse(wave), length_mask(torch.tensor([20, 20])))
        torch.testing.assert_close(made, wave, rtol=1e-3, atol=1e-4)
