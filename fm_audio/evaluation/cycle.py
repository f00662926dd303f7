"""Does a joint model understand itself? Text → speech → text by the same weights, with character and word error.

    python -m fm_audio.evaluation.cycle MODEL sentences.txt --voice anna --voice bert

Nobody else listens, so the figure tells of both directions together: a low error may be a code that only the model understands, a
high one does not say which of them is at fault. Beside it belong a judge of the speech (`fm-audio eval`) and transcripts of
recordings (`fm_audio.evaluation.transcripts`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch

from fm_audio.audio import Audio
from fm_audio.checkpoint import load_model
from fm_audio.evaluation.metrics import Interval, SentenceScore, rate_interval, score_sentence
from fm_audio.evaluation.protocols import Protocol, load_protocol
from fm_audio.evaluation.report import save_json
from fm_audio.extras import require
from fm_audio.tasks.joint import Joint, part_of
from fm_audio.tasks.speech_to_text import SpeechToText
from fm_audio.tasks.transcription import TranscriptRequest, require_speech
from fm_audio.types import FmAudioError
from fm_audio.voices.find import load
from fm_audio.voices.voice import Voice


@dataclass(frozen=True)
class Row:
    """What became of all sentences in one voice; `unheard` are those in whose sound there was no speech to listen to."""

    voice: str
    characters: Interval
    words: Interval
    unheard: int
    scores: list[SentenceScore]

    def report(self) -> dict[str, Any]:
        heard = [{"text": s.reference, "heard": s.heard} for s in self.scores]
        errors = {"characters": asdict(self.characters), "words": asdict(self.words), "unheard": self.unheard}
        return {"voice": self.voice, **errors, "sentences": heard}


def cycle(
    voice: Voice,
    listener: SpeechToText,
    protocol: Protocol,
    name: str,
    steps: int | None = None,
    listening_steps: int | None = None,
    seed: int = 0,
) -> Row:
    """Every sentence said by the voice's speaker `name`, sentence i from seed + i, and written down again."""
    texts = list(protocol.sentences)
    spoken = voice.say(texts, voice=name, steps=steps, seed=[seed + i for i in range(len(texts))])
    assert isinstance(spoken, list)
    audible = [i for i, audio in enumerate(spoken) if _speaks(audio)]
    sampling = listener.default_sampling().changed(steps=listening_steps)
    transcripts = listener.generate([TranscriptRequest(spoken[i], seed + i) for i in audible], sampling)
    heard = {i: transcript.text for i, transcript in zip(audible, transcripts, strict=True)}
    scores = [score_sentence(text, heard.get(i, ""), protocol.language) for i, text in enumerate(texts)]
    characters, words = (rate_interval([getattr(s, unit) for s in scores]) for unit in ("characters", "words"))
    return Row(name, characters, words, len(texts) - len(audible), scores)


def _speaks(audio: Audio) -> bool:
    try:
        require_speech(audio)
    except FmAudioError:
        return False
    return True


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m fm_audio.evaluation.cycle", description=str(__doc__).splitlines()[0])
    parser.add_argument("model", type=Path, help="the folder of a joint model, of fm-audio export")
    parser.add_argument("sentences", help="a text file, one sentence a line, or harvard40 or harvard_dev30")
    parser.add_argument("--voice", action="append", metavar="NAME", help="who speaks; may be given again (default: the model's)")
    parser.add_argument("--limit", type=int, help="at most so many sentences")
    parser.add_argument("--steps", type=int, help="solver steps of speaking (default: the model's)")
    parser.add_argument("--listening-steps", type=int, help="solver steps of listening (default: the model's)")
    parser.add_argument("--seed", type=int, default=0, help="of the first sentence; the next takes the next seed (default 0)")
    parser.add_argument("--language", default="en", help="two letters, of the sentences (default en)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything here, sentences too")
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    try:
        require("jiwer", "error rates")
        protocol = load_protocol(given.sentences, given.language).first(given.limit)
        model = load_model(given.model)
        if not isinstance(model, Joint):
            raise FmAudioError(f"{given.model}: holds a {type(model).__name__}, which cannot do both; give a joint model")
        voice, listener = load(given.model), cast(SpeechToText, part_of(model, "listening"))
        names = given.voice or [voice.name]
        how = (given.steps, given.listening_steps, given.seed)
        rows = [cycle(voice, listener, protocol, name, *how) for name in names]
        if given.json:
            everything = {"model": str(given.model), "protocol": protocol.name, "fingerprint": protocol.fingerprint}
            save_json(given.json, everything | {"seed": given.seed, "rows": [row.report() for row in rows]})
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    print(f"{protocol.name}: {len(protocol.sentences)} sentences, said and written down by {given.model}")
    print("voice             character error %      word error %           unheard")
    for row in rows:
        c, w = (f"{100 * i.value:5.1f} [{100 * i.low:5.1f}, {100 * i.high:5.1f}]" for i in (row.characters, row.words))
        print(f"{row.voice:16}  {c}  {w}  {row.unheard:7}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
