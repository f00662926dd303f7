"""Generating texts in place: each place of a source has one token of the answer, so there is no length to choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fm_audio.flow.head import FlowHead
from fm_audio.flow.sampling import Sampling
from fm_audio.flow.settling import sample_tokens
from fm_audio.tasks.groups import groups
from fm_audio.tasks.text_requests import GeneratedText, TextDecoding, Try, decided, seeds_of
from fm_audio.tasks.text_writer import GROUP_TOKENS, require_guidance_was_trained, require_samples_differ
from fm_audio.types import Cond, FmAudioError, Mask


def require_in_place(sampling: Sampling, decoding: TextDecoding, condition_drop: float) -> None:
    """Raises FmAudioError for samples that would all be the same, guidance that was not trained, and ways to choose a length."""
    require_samples_differ(sampling, decoding)
    require_guidance_was_trained(sampling, condition_drop)
    if decoding.length != "predicted" or decoding.candidates > 1:
        raise FmAudioError("decoding: this model writes in place and chooses no length; leave length and candidates alone")


def written_in_place(
    head: FlowHead,
    places: Sequence[int],
    told: Callable[[list[int]], tuple[Cond, Mask]],
    seeds: Sequence[int],
    sampling: Sampling,
    decoding: TextDecoding,
    decode: Callable[[Sequence[int]], str],
    kept: Callable[[list[int]], list[int]] = lambda ids: ids,
    progress: Callable[[float], None] | None = None,
) -> list[GeneratedText]:
    """A text for each of `seeds`, of so many `places`; the same alone and in any company. `progress` hears the share done.

    told: rows -> their condition and where they have places (b n). kept: the ids of an answer, of those of all its places.
    `log_probability` is the mean over places.
    """
    drafts = [(i, seed) for i, own in enumerate(seeds) for seed in seeds_of(own, decoding.samples)]
    samples: list[list[Try]] = [[] for _ in seeds]
    done = 0
    for group in groups([places[i] for i, _ in drafts], GROUP_TOKENS):
        chosen = [drafts[k] for k in sorted(group)]
        cond, mask = told([i for i, _ in chosen])
        settled = sample_tokens(head, mask, cond, sampling, [seed for _, seed in chosen], "text", patience=decoding.patience)
        found = zip(chosen, settled.ids, settled.log_probability, settled.forwards.tolist(), mask, strict=True)
        for (i, _), ids, p, forwards, keep in found:
            samples[i].append(Try(tuple(kept(ids[keep].tolist())), float(p[keep].mean()), forwards))
        done += len(group)
        if progress is not None:
            progress(done / len(drafts))
    return [decided([[one] for one in of_one], decode) for of_one in samples]
