"""The 178 symbols of Matcha-TTS (and of VITS before it): eSpeak's phones and punctuation with a blank between all of them.

Symbol 0 is the blank; unlike in other front-ends it is said, so it occurs in every encoding.
"""

from __future__ import annotations

from functools import cached_property

from fm_audio.data.text.espeak import Espeak
from fm_audio.data.text.frontend import EDGE, PAD, Encoded
from fm_audio.types import FmAudioError

SYMBOLS = (
    PAD,
    *';:,.!?¡¿—…"«»“” ',
    *"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    *"ɑɐɒæɓʙβɔɕçɗɖðʤəɘɚɛɜɝɞɟʄɡɠɢʛɦɧħɥʜɨɪʝɭɬɫɮʟɱɯɰŋɳɲɴøɵɸθœɶʘɹɺɾɻʀʁɽʂʃʈʧʉʊʋⱱʌɣɤʍχʎʏʑʐʒʔʡʕʢǀǁǂǃˈˌːˑʼʴʰʱʲʷˠˤ˞↓↑→↗↘'̩'ᵻ",
)
"""By id. The apostrophe stands twice; its second id is the one in use."""
DASH = {"-": "—"}


class MatchaPhones:
    """English text -> the ids that Matcha-TTS's checkpoints were trained on. Needs `pip install fm-audio[phonemes]`.

    Words are phonemised one by one, where Matcha-TTS hands whole sentences to eSpeak, so some function words are said in full.
    """

    def __init__(self, language: str = "en-us") -> None:
        self.language = language

    @property
    def symbols(self) -> tuple[str, ...]:
        return SYMBOLS

    @cached_property
    def _espeak(self) -> Espeak:
        return Espeak(self.language)

    def encode(self, text: str) -> Encoded:
        """Raises `FmAudioError` as `Espeak` does, and for phones that are not among the symbols."""
        return with_blanks(self._espeak.encode(text))


def with_blanks(plain: Encoded) -> Encoded:
    """An encoding with edges (`^ a b ^`) as ids of `SYMBOLS` between blanks (`_ a _ b _`); symbol i comes to place 2i - 1."""
    ids = {symbol: i for i, symbol in enumerate(SYMBOLS)}
    said = [DASH.get(s, s) for s in plain.symbols if s != EDGE]
    unknown = sorted(set(said) - set(SYMBOLS))
    if unknown:
        raise FmAudioError(f"text: eSpeak says it with {' '.join(unknown)}, for which Matcha-TTS has no symbol; reword it")
    symbols = [PAD] * (2 * len(said) + 1)
    symbols[1::2] = said
    words = [(word, 2 * first - 1, 2 * last - 1) for word, first, last in plain.words]
    pauses = {min(max(2 * i - 1, 0), len(symbols) - 1): seconds for i, seconds in plain.pauses_seconds.items()}
    return Encoded([ids[s] for s in symbols], symbols, words, pauses)
