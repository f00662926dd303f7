"""`fm-audio eval`: let a voice, a cloner or a folder of recordings say a list of sentences, and let judges listen."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fm_audio.commands.running import add_running
from fm_audio.commands.sampling import FIELDS, add_adaptive, chosen
from fm_audio.evaluation import clips, cloning, report
from fm_audio.evaluation.clips import Clip, Setting
from fm_audio.evaluation.judge import Judges, Result, hear, summarise
from fm_audio.evaluation.metrics import rate_interval
from fm_audio.evaluation.protocols import SHIPPED, Protocol, load_protocol
from fm_audio.evaluation.quality import QualityJudge
from fm_audio.evaluation.recognisers import load_recogniser
from fm_audio.evaluation.speaker import SpeakerJudge
from fm_audio.extras import require
from fm_audio.types import FmAudioError

EXAMPLE = """examples:
  fm-audio eval --steps 4 --steps 32 --out results            the default voice on 40 Harvard sentences
  fm-audio eval --voice DIR --sentences mine.txt --judge whisper-tiny.en --json
  fm-audio eval --audio DIR --sentences mine.txt --dnsmos     recordings named 000.wav, 001.wav … in the order of the lines
  fm-audio eval --audio manifest.jsonl --speaker anna --similarity self --limit 50
  fm-audio eval --clone DIR --references manifest.jsonl --imitate 'anna*' --among '*' --limit 10"""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="fm-audio eval",
        description="Word and character error, speaker similarity, DNSMOS and speed of a voice, with 95 % intervals.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = made.add_mutually_exclusive_group()
    source.add_argument("--voice", metavar="NAME|DIR", help="a voice by name or folder (the default voice if left out)")
    source.add_argument("--audio", type=Path, metavar="DIR|FILE.jsonl", help="judge these recordings instead of a voice")
    source.add_argument("--clone", type=Path, metavar="DIR", help="judge this infilling model, which imitates --references")
    worn = "judge it with this adapter, which fm-audio adapt wrote; without --voice the voice it was made for"
    made.add_argument("--adapter", type=Path, metavar="DIR", help=worn)
    made.add_argument("--references", type=Path, action="append", metavar="FILE.jsonl", help="recordings with text and speaker")
    made.add_argument("--imitate", action="append", metavar="NAME", help="speakers of the references, also mix_* (default: all)")
    made.add_argument("--among", action="append", default=[], metavar="NAME", help="more of them to tell the imitated from")
    made.add_argument("--length", choices=("rate", "learned"), help="how --clone finds the length of what it says")
    made.add_argument("--speaker", metavar="NAME", help="one of the voice's speakers, or of the manifest's")
    made.add_argument("--sentences", metavar="FILE|NAME", help=f"one sentence a line, or {', '.join(SHIPPED)} (the default)")
    made.add_argument("--limit", type=_positive, metavar="N", help="the first N sentences only")
    made.add_argument("--language", default="en", help="two letters, for the recogniser and the numbers (default en)")
    made.add_argument("--preset", metavar="NAME", help="fast, balanced or best, where fm-audio frontier measured them")
    made.add_argument("--steps", type=_positive, action="append", metavar="N", help="solver steps; may be repeated")
    made.add_argument("--temperature", type=float, action="append", metavar="T", help="scale of the noise; may be repeated")
    made.add_argument("--guidance", type=float, action="append", metavar="W", help="1 is off; may be repeated")
    made.add_argument("--seed", type=int, default=0, help="of the first sentence; the next takes the next seed (default 0)")
    made.add_argument(
        "--judge", default="whisper-base", metavar="JUDGE", help="whisper-base, whisper-tiny.en, transformers:NAME, or a folder"
    )
    made.add_argument("--similarity", metavar="FILE|DIR|FILE.jsonl|self", help="compare speakers with these recordings")
    made.add_argument("--similarity-speaker", metavar="NAME", help="the speaker in that manifest")
    made.add_argument("--similarity-clips", type=_positive, default=20, metavar="N", help="at most N references (default 20)")
    made.add_argument("--dnsmos", action="store_true", help="predicted listening quality")
    made.add_argument("--threads", type=_positive, default=2, metavar="N", help="CPU threads (default 2)")
    add_adaptive(made)
    add_running(made)
    made.add_argument("--out", type=Path, metavar="DIR", help="write wavs, results.json and results.png here")
    made.add_argument("--json", action="store_true", help="the report on stdout, as JSON")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 when everything was judged and written. Raises FmAudioError when something asked for is not possible."""
    given = parser().parse_args(argv)
    threads = torch.get_num_threads()
    torch.set_num_threads(given.threads)
    try:
        _evaluate(given)
    finally:
        torch.set_num_threads(threads)
    return 0


def _evaluate(given: argparse.Namespace) -> None:
    console = require("rich.console", "the table of results").Console(stderr=given.json, highlight=False)
    if not console.is_terminal:
        console.width = 160  # a file or a pipe has no edge to fold at
    _refuse_mixtures(given)
    cast = _cast(given)
    sentences, takes, source = _recorded(given) if given.audio else _cloned(given, cast) if given.clone else _spoken(given)
    if given.similarity == "self" and len(sentences.sentences) < 2:
        raise FmAudioError("--similarity self: compares recordings with each other and needs two or more; raise --limit")
    judges = _judges(given)
    if given.out:
        _make_folder(given.out)
    protocol = sentences.judged_by(**judges.recogniser.settings)
    voices = cloning.voices_of(judges.speaker, cast) if judges.speaker and cast else {}
    results = []
    for take in takes:
        heard_by = replace(judges, references=list(voices[take.speaker])) if take.speaker else judges
        results.append(_judge(take, protocol, heard_by, given.out if not given.audio else None))
    everything = report.as_report(protocol, source, given.threads, results)
    likenesses = _likenesses(takes, results, voices)
    if likenesses:
        everything["likeness"] = [x.report() for x in likenesses]
    if given.out:
        report.save_picture(given.out / "results.png", protocol, results)
        report.save_json(given.out / "results.json", everything)
    console.print(report.table(protocol, results))
    if likenesses:
        console.print(cloning.table(likenesses))
    for result in results:
        console.print(report.wrong_sentences(result), markup=False)
    if given.json:
        print(json.dumps(everything, indent=2, ensure_ascii=False))


@dataclass(frozen=True)
class Take:
    """All sentences said in one way, lazily: in which setting and, of a cloner, as which speaker."""

    label: str
    clips: Iterable[Clip]
    setting: str = ""
    speaker: str | None = None


Takes = list[Take]


def _refuse_mixtures(given: argparse.Namespace) -> None:
    if given.clone and not given.references:
        raise FmAudioError("--clone: imitates somebody; give --references, a manifest with audio, text and speaker")
    if given.clone and (given.similarity or given.speaker):
        raise FmAudioError("--clone: is compared with its references; leave --similarity and --speaker out")
    if not given.clone and (given.references or given.imitate or given.among or given.length):
        raise FmAudioError("--references, --imitate, --among and --length: belong to --clone DIR; give it or leave them out")


def _settings(given: argparse.Namespace) -> list[Setting]:
    asked = (given.steps, given.temperature, given.guidance)
    return [Setting(*chosen) for chosen in product(*(values or [None] for values in asked))]


def _sampling_asked(given: argparse.Namespace) -> dict[str, Any]:
    """What holds for all settings: the solver, and what items decide for themselves."""
    return {name: getattr(given, name) for name in FIELDS if getattr(given, name) is not None}


def _how(given: argparse.Namespace) -> dict[str, Any]:
    """What `load` and `load_cloner` are told beside the model."""
    return {name: getattr(given, name) for name in ("preset", "precision", "compile", "adapter")}


def _cast(given: argparse.Namespace) -> list[cloning.Speaker]:
    """Whom a cloner imitates, first, and whom they are told from."""
    if not given.clone:
        return []
    imitated = cloning.speakers(given.references, given.imitate or ["*"], given.similarity_clips)
    names = {who.name for who in imitated}
    told_from = cloning.speakers(given.references, given.among, given.similarity_clips) if given.among else []
    return [*imitated, *(who for who in told_from if who.name not in names)]


def _cloned(given: argparse.Namespace, cast: Sequence[cloning.Speaker]) -> tuple[Protocol, Takes, dict[str, Any]]:
    """One lazy take of all sentences for each setting and each speaker imitated."""
    from fm_audio.voices.cloner import load_cloner

    protocol = load_protocol(given.sentences or SHIPPED[0], given.language).first(given.limit)
    cloner = load_cloner(given.clone, **_how(given))
    cloner.sampling = chosen(cloner.sampling, given)
    imitated = [who for who in cast if any(fnmatchcase(who.name, pattern) for pattern in given.imitate or ["*"])]
    if len(cast) < 2:
        raise FmAudioError("--imitate: there is one speaker and nobody to tell them from; name others with --among")
    takes = [
        Take(
            who.name if setting.label == "default" else f"{who.name}, {setting.label}",
            cloning.imitate(cloner, protocol.sentences, setting, given.seed, who, given.length),
            setting.label,
            who.name,
        )
        for setting in _settings(given)
        for who in imitated
    ]
    source = {
        "model": cloner.name,
        "voice": cloner.voice,
        "seed": given.seed,
        "precision": given.precision,
        "compiled": given.compile,
        "preset": given.preset,
        "length": cloner.model.length_rule(given.length),
        "references": {who.name: str(who.reference) for who in imitated},
        "told_from": [who.name for who in cast],
        **_sampling_asked(given),
    }
    return protocol, takes, source


def _likenesses(takes: Takes, results: Sequence[Result], voices: dict[str, np.ndarray]) -> list[cloning.Likeness]:
    """One for each setting of a cloner and, where several speakers are imitated, one for each of them."""
    found = []
    for setting in dict.fromkeys(take.setting for take in takes if take.speaker):
        heard = {str(t.speaker): r.hearings for t, r in zip(takes, results, strict=True) if t.setting == setting}
        embedded = {name: [h.embedding for h in hearings if h.embedding is not None] for name, hearings in heard.items()}
        words = {name: [h.score.words for h in hearings] for name, hearings in heard.items()}
        everybody = rate_interval([w for each in words.values() for w in each])
        found.append(cloning.likeness(setting, everybody, embedded, voices))
        for name in words if len(words) > 1 else ():
            found.append(cloning.likeness(f"{setting}, {name}", rate_interval(words[name]), embedded, voices, [name]))
    return found


def _spoken(given: argparse.Namespace) -> tuple[Protocol, Takes, dict[str, Any]]:
    """The voice and one lazy take of all sentences for each setting."""
    import fm_audio

    protocol = load_protocol(given.sentences or SHIPPED[0], given.language).first(given.limit)
    voice = fm_audio.load(given.voice, **_how(given))
    voice.sampling = chosen(voice.sampling, given)
    made = [(s, clips.speak(voice, protocol.sentences, s, given.seed, given.speaker)) for s in _settings(given)]
    takes = [Take(setting.label, spoken) for setting, spoken in made]
    source = {"voice": given.speaker or voice.name, "model": voice.model_name, "seed": given.seed}
    source |= {"precision": given.precision, "compiled": given.compile, "preset": given.preset, **_sampling_asked(given)}
    return protocol, takes, source


def _recorded(given: argparse.Namespace) -> tuple[Protocol, Takes, dict[str, Any]]:
    """Recordings by number beside a list of sentences, or with the texts of their manifest."""
    if given.steps or given.temperature or given.guidance:
        raise FmAudioError("--audio judges recordings as they are: --steps, --temperature and --guidance need --voice")
    if _sampling_asked(given):
        raise FmAudioError("--audio judges recordings as they are: --solver and its like need --voice or --clone")
    if given.adapter or given.preset:
        raise FmAudioError("--audio judges recordings as they are: --adapter and --preset need --voice or --clone")
    if given.compile or given.precision != "fp32":
        raise FmAudioError("--audio judges recordings as they are: --precision and --compile need --voice or --clone")
    if given.audio.suffix == ".jsonl":
        if given.sentences:
            raise FmAudioError("--sentences: the manifest has its own texts; leave one of the two out")
        lines = clips.manifest_lines(given.audio, given.speaker, given.limit)
        protocol = clips.manifest_protocol(given.audio, lines, given.language)
        paths = [line.path for line in lines]
    else:
        protocol = load_protocol(given.sentences or SHIPPED[0], given.language).first(given.limit)
        paths = clips.indexed_files(given.audio, len(protocol.sentences))
    recordings = (Clip(clips.read(path)) for path in paths)
    return protocol, [Take(given.speaker or given.audio.stem, recordings)], {"audio": str(given.audio), "speaker": given.speaker}


def _judges(given: argparse.Namespace) -> Judges:
    judges = Judges(load_recogniser(given.judge, given.language, given.threads))
    if given.similarity or given.clone:
        judges.speaker = SpeakerJudge()
    if given.similarity and given.similarity != "self":
        found = clips.references(Path(given.similarity), given.similarity_speaker, given.similarity_clips)
        judges.references = [judges.speaker.embed(audio) for audio in found] if judges.speaker else None
    if given.dnsmos:
        judges.quality = QualityJudge(given.threads)
    return judges


def _judge(take: Take, protocol: Protocol, judges: Judges, out: Path | None) -> Result:
    """All sentences of one setting, written to out/wavs/<label>/000.wav … when they were spoken here."""
    label, made = take.label, take.clips
    folder = out / "wavs" / label.replace(", ", " ").replace(" ", "-") if out else None
    if folder:
        _make_folder(folder)
    hearings = []
    for i, (sentence, clip) in enumerate(_progress(zip(protocol.sentences, made, strict=True), label, len(protocol.sentences))):
        if folder:
            clip.audio.save(folder / f"{i:03d}.wav")
        hearings.append(hear(sentence, clip, judges, protocol.language))
    return summarise(label, protocol, hearings, judges)


def _progress(items: Iterable[Any], label: str, total: int) -> Iterator[Any]:
    console = require("rich.console", "the progress bar").Console(stderr=True)
    track = require("rich.progress", "the progress bar").track
    yield from track(items, label, total=total, console=console, disable=not console.is_terminal, transient=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise FmAudioError(f"{folder}: cannot make this folder ({e.strerror}); choose another with --out") from e


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"given {text}; allowed is a whole number from 1")
    return value
