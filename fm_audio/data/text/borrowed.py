"""Another language in the phones that an English voice knows, with new symbols for the sounds it lacks.

eSpeak says how words sound, in IPA. What is an ARPAbet phone is called by its name, so that a voice says it with what it has
learned; every other sound has a symbol of its own, and a stand-in: the known phone that comes nearest ("ç" SH, "øː" ER). A new
row of a table of embeddings begins as its stand-in's, and recordings are aligned with the stand-ins before anything is learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType

from fm_audio.data.text.arpabet import PHONES
from fm_audio.data.text.espeak import Espeak
from fm_audio.data.text.frontend import COMMON_SYMBOLS, Encoded, Token, Word, assemble

STRESSES = {"ˈ": "1", "ˌ": "2"}  # what IPA puts in front of a vowel, ARPAbet behind it; 0 is none
LONG = "ː"


def _pairs(ipa: str, phones: str) -> dict[str, str]:
    return dict(zip(ipa.split(), phones.split(), strict=True))


# IPA that is an ARPAbet phone
_SAME_VOWELS = _pairs("ɪ ɛ æ ʊ ʌ ə iː uː ɑː ɔː aɪ aʊ ɔɪ eɪ oʊ ɜː ɚ", "IH EH AE UH AH AH IY UW AA AO AY AW OY EY OW ER ER")
_SAME_CONSONANTS = _pairs(
    "b d f h j k l m n p s t v w z ŋ ɡ ʃ ʒ θ ð ɹ tʃ dʒ", "B D F HH Y K L M N P S T V W Z NG G SH ZH TH DH R CH JH"
)
# IPA that is none, and what stands in for it. Append-only: trained models store the order.
_OTHER_VOWELS = _pairs(
    "a aː e eː i o oː u y yː ʏ ø øː œ ɔ ɛː ɐ ɜ ɑ ɒ ɨ ʉ ɯ ɤ ɵ ɘ ɞ ɶ ᵻ ɔʏ ɔø ɛɪ æː ɪː",
    "AA AA EY EY IY OW OW UW UW UW UH ER ER ER AO EH AH AH AA AA IH UW UW AH UH AH ER AE IH OY OY EY AE IY",
)
_OTHER_CONSONANTS = _pairs(
    "ç x χ r ʁ ʀ ɾ ɽ ɻ ɲ ɴ ɳ ɱ ʎ ɭ ɫ ɬ ɣ ɰ β ɸ ʋ ɥ c ɟ ɕ ʑ ʂ ʐ q ɢ ʈ ɖ ɓ ɗ ɠ ɦ ħ ʕ ʝ ʍ ʲ ̃",
    "SH HH HH R R R R R R N NG N M L L L L G W V F V Y K G SH ZH SH ZH K G T D B D G HH HH HH Y W Y N",
)


def _stressed(vowels: Mapping[str, str]) -> dict[str, str]:
    return {f"{vowel}{stress}": f"{phone}{stress}" for vowel, phone in vowels.items() for stress in "012"}


STAND_INS: Mapping[str, str] = MappingProxyType(_stressed(_OTHER_VOWELS) | _OTHER_CONSONANTS)
_VOWELS = _SAME_VOWELS | {ipa: ipa for ipa in _OTHER_VOWELS}
_CONSONANTS = _SAME_CONSONANTS | {ipa: ipa for ipa in _OTHER_CONSONANTS}
SYMBOLS = (*COMMON_SYMBOLS, *PHONES, *STAND_INS)


class BorrowedPhones:
    """Text -> `^ phones (punctuation) space phones … ^` of a language, one of eSpeak's names such as `de`.

    Needs `pip install fm-audio[phonemes]`. Numbers are read by eSpeak, in its language.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self._espeak = Espeak(language)

    @property
    def symbols(self) -> tuple[str, ...]:
        return SYMBOLS

    @property
    def stand_ins(self) -> Mapping[str, str]:
        """Each symbol that is no ARPAbet phone, and the phone that is nearest to it."""
        return STAND_INS

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {s: i for i, s in enumerate(SYMBOLS)}

    def encode(self, text: str) -> Encoded:
        """Raises `FmAudioError` for a missing extra, an unknown language and a text without a readable word."""
        return assemble([_borrowed(token) for token in self._espeak.tokens(text)], self._ids)


def _borrowed(token: Token) -> Token:
    if not isinstance(token, Word):
        return token
    return replace(token, options=tuple(sounds(option) for option in token.options))


def sounds(ipa: Sequence[str]) -> tuple[str, ...]:
    """IPA, a character each -> symbols: two characters that are one sound together, a stress behind its vowel, a long consonant
    twice. What has no symbol (ties, glottal stops, tones) is left out; a word of nothing else sounds like a schwa."""
    found: list[str] = []
    stress, i = "0", 0
    while i < len(ipa):
        two, one = "".join(ipa[i : i + 2]), ipa[i]
        unit = two if len(two) == 2 and (two in _VOWELS or two in _CONSONANTS) else one
        if unit in STRESSES:
            stress = STRESSES[unit]
        elif unit in _VOWELS:
            found.append(_VOWELS[unit] + stress)
            stress = "0"
        elif unit in _CONSONANTS:
            found.append(_CONSONANTS[unit])
        elif unit == LONG and found and found[-1] in _CONSONANTS.values():
            found.append(found[-1])
        i += len(unit)
    return tuple(found) or ("AH0",)
