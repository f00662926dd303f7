"""What is written and what is read out."""

from __future__ import annotations

import random
import re

import pytest

from fm_audio.data.text.normalise import normalise
from fm_audio.data.text.numbers import cardinal, decade, number, roman, write_roman, year
from fm_audio.types import FmAudioError

ROWS = [
    # integers, ordinals, decimals, negatives
    ("0", "zero"),
    ("2,000,000.5", "two million point five"),
    ("1,000th", "one thousandth"),
    ("the 22nd and 101st", "the twenty-second and one hundred and first"),
    ("6.02e23", "six point zero two times ten to the twenty-three"),
    ("100,000 people", "one hundred thousand people"),
    ("one-half", "one-half"),
    ("3-2 win", "three to two win"),
    ("20-year-old", "twenty-year-old"),
    ("1st-class", "first-class"),
    ("7", "seven"),
    ("21 apples", "twenty-one apples"),
    ("105", "one hundred and five"),
    ("1,234", "one thousand two hundred and thirty-four"),
    ("1000000", "one million"),
    ("3,000,000,000", "three billion"),
    ("-7 below", "minus seven below"),
    ("3.14", "three point one four"),
    ("0.05", "zero point zero five"),
    (".5", "point five"),
    ("-2.5", "minus two point five"),
    ("the 1st, 2nd and 3rd", "the first, second and third"),
    ("her 21st", "her twenty-first"),
    ("103rd", "one hundred and third"),
    ("1.5e-3", "one point five times ten to the minus three"),
    ("007", "zero zero seven"),
    (
        "12345678901234567890",
        "one two three four five six seven eight nine zero one two three four five six seven eight nine zero",
    ),
    # fractions and percentages
    ("1/3 of it", "one third of it"),
    ("5/8 inch", "five eighths inch"),
    ("3 1/4 miles", "three and one quarter miles"),
    ("¼ cup", "one quarter cup"),
    ("33 1/3 %", "thirty-three and one third percent"),
    ("0.5%", "zero point five percent"),
    ("50/50 chance", "fifty-fifty chance"),
    ("1/2 cup", "one half cup"),
    ("3/4 mile", "three quarters mile"),
    ("2 1/2 hours", "two and a half hours"),
    ("2½ days", "two and a half days"),
    ("⅔ full", "two thirds full"),
    ("50%", "fifty percent"),
    ("3.5 %", "three point five percent"),
    ("5-10%", "five to ten percent"),
    # money
    ("$1,000,000", "one million dollars"),
    ("$10k", "ten thousand dollars"),
    ("$4.05", "four dollars and five cents"),
    ("€5.20", "five euros and twenty cents"),
    ("£3m", "three million pounds"),
    ("£0.50", "fifty pence"),
    ("¥1,000", "one thousand yen"),
    ("₹500", "five hundred rupees"),
    ("$5/day", "five dollars per day"),
    ("USD 20", "twenty dollars"),
    ("EUR 1,000", "one thousand euros"),
    ("$5", "five dollars"),
    ("$1", "one dollar"),
    ("$5.50", "five dollars and fifty cents"),
    ("$0.99", "ninety-nine cents"),
    ("$1.01", "one dollar and one cent"),
    ("-$5", "minus five dollars"),
    ("$1,200.75", "one thousand two hundred dollars and seventy-five cents"),
    ("$3.5 million", "three point five million dollars"),
    ("$2bn", "two billion dollars"),
    ("£20", "twenty pounds"),
    ("£1.50", "one pound and fifty pence"),
    ("€3.5 million", "three point five million euros"),
    ("20 €", "twenty euros"),
    ("¥500", "five hundred yen"),
    ("50¢", "fifty cents"),
    ("$5-10", "five to ten dollars"),
    # years and dates
    ("in 1066", "in one thousand and sixty-six"),
    ("in 2010", "in twenty ten"),
    ("the 1800s", "the eighteen hundreds"),
    ("1939-45", "nineteen thirty-nine to forty-five"),
    ("12/25/2023", "december twenty-fifth, twenty twenty-three"),
    ("Dec. 25, 1999", "december twenty-fifth, nineteen ninety-nine"),
    ("1 January 2000", "the first of january, two thousand"),
    ("Sept 11", "september eleventh"),
    ("Wednesday, May 5th", "wednesday, may fifth"),
    ("Feb 29, 2024", "february twenty-ninth, twenty twenty-four"),
    ("mid-1990s", "mid-nineteen nineties"),
    ("In 1999", "in nineteen ninety-nine"),
    ("in 1905", "in nineteen oh five"),
    ("in 1900", "in nineteen hundred"),
    ("in 2005", "in two thousand and five"),
    ("in 2024", "in twenty twenty-four"),
    ("the 1990s", "the nineteen nineties"),
    ("the '80s", "the eighties"),
    ("1990-1995", "nineteen ninety to nineteen ninety-five"),
    ("1914–1918", "nineteen fourteen to nineteen eighteen"),
    ("March 15, 2024", "march fifteenth, twenty twenty-four"),
    ("Mar. 3rd", "march third"),
    ("15 March 2024", "the fifteenth of march, twenty twenty-four"),
    ("the 4th of July", "the fourth of july"),
    ("2024-03-15", "march fifteenth, twenty twenty-four"),
    ("03/15/2024", "march fifteenth, twenty twenty-four"),
    ("15/03/2024", "march fifteenth, twenty twenty-four"),
    ("Mon. and Tues.", "monday and tuesday."),
    # times
    ("12:30 a.m. sharp", "twelve thirty AM sharp"),
    ("noon at 12:01", "noon at twelve oh one"),
    ("at 23:59", "at twenty-three fifty-nine"),
    ("between 9:00 and 17:30", "between nine o'clock and seventeen thirty"),
    ("03:05:07", "three oh five and seven seconds"),
    ("at 8pm", "at eight PM"),
    ("at 3:30", "at three thirty"),
    ("10:05", "ten oh five"),
    ("12:00", "twelve o'clock"),
    ("3:30 pm today", "three thirty PM today"),
    ("9 a.m. sharp", "nine AM sharp"),
    ("5PM", "five PM"),
    ("14:00", "fourteen hundred"),
    # digit strings
    ("1-800-555-0199", "one, eight zero zero, five five five, zero one nine nine"),
    ("10.0.0.255", "ten dot zero dot zero dot two hundred and fifty-five"),
    ("ISBN 978-3-16-148410-0", "isbn nine seven eight, three, one six, one four eight four one zero, zero"),
    ("555-1234", "five five five, one two three four"),
    ("(212) 555-0187", "two one two, five five five, zero one eight seven"),
    ("+44 20 7946 0958", "plus four four, two zero, seven nine four six, zero nine five eight"),
    ("192.168.0.1", "one hundred and ninety-two dot one hundred and sixty-eight dot zero dot one"),
    ("version 1.2.3", "version one point two point three"),
    # units
    ("25 mg", "twenty-five milligrams"),
    ("3 lbs", "three pounds"),
    ("5 km²", "five square kilometers"),
    ("100 m/s", "one hundred meters per second"),
    ("2.4 GHz", "two point four gigahertz"),
    ("3 kWh", "three kilowatt hours"),
    ("6'2\" tall", "six foot two tall"),
    ("45 min", "forty-five minutes"),
    ("5kg", "five kilograms"),
    ("1 km", "one kilometer"),
    ("70 mph", "seventy miles per hour"),
    ("10 km/h", "ten kilometers per hour"),
    ("-5 °C", "minus five degrees celsius"),
    ("98.6°F", "ninety-eight point six degrees fahrenheit"),
    ("20 m²", "twenty square meters"),
    ("1 ft", "one foot"),
    ("6 ft.", "six feet."),
    ("100 MB", "one hundred megabytes"),
    ("440 Hz", "four hundred and forty hertz"),
    ("10–20 cm", "ten to twenty centimeters"),
    ("5'10\" tall", "five foot ten tall"),
    ("500 ms", "five hundred milliseconds"),
    # abbreviations
    ("Gen. Grant", "general grant"),
    ("Capt. Cook", "captain cook"),
    ("Sen. Warren", "senator warren"),
    ("approx. 5", "approximately five"),
    ("Dept. of Health", "department of health"),
    ("Mt. Everest", "mount everest"),
    ("vol. 3", "volume three"),
    ("J.K. Rowling", "JK rowling"),
    ("a.k.a. Bob", "also known as bob"),
    ("Mr. and Mrs. Jones", "mister and missus jones"),
    ("Dr. Smith", "doctor smith"),
    ("12 Main St. is", "twelve main street is"),
    ("near St. Louis", "near saint louis"),
    ("e.g. this", "for example, this"),
    ("i.e. that", "that is, that"),
    ("cats vs. dogs", "cats versus dogs"),
    ("and so on, etc.", "and so on, et cetera."),
    ("No. 5", "number five"),
    ("No. He left.", "no. he left."),
    ("pp. 10-12", "pages ten to twelve"),
    ("Fig. 3", "figure three"),
    ("Prof. Lee Jr. left", "professor lee junior left"),
    ("George W. Bush", "george W bush"),
    ("the U.S. Army", "the US army"),
    ("He has a Ph.D. now", "he has a phd now"),
    # acronyms and capitals
    ("HTML5", "html five"),
    ("4K video", "four K video"),
    ("CEO of IBM", "ceo of ibm"),
    ("the FBI and the UK", "the fbi and the UK"),
    ("NASA", "nasa"),
    ("the XQZ file", "the XQZ file"),
    ("Tell US and us", "tell US and us"),
    ("Plan B", "plan B"),
    ("A dog", "a dog"),
    ("GREAT NEWS FOR ALL OF US", "great news for all of us"),
    ("COVID-19", "covid nineteen"),
    ("B2B and mp3", "B two B and mp three"),
    # Roman numerals
    ("Elizabeth II", "elizabeth the second"),
    ("Act III, Scene 2", "act three, scene two"),
    ("Super Bowl LVII", "super bowl fifty-seven"),
    ("World War II", "world war two"),
    ("Chapter IV", "chapter four"),
    ("Henry VIII", "henry the eighth"),
    ("Louis XIV of France", "louis the fourteenth of france"),
    ("I am", "i am"),
    # symbols
    ("a < b", "a less than b"),
    ("5 ± 1", "five plus or minus one"),
    ("10^3", "ten cubed"),
    ("~5 left", "about five left"),
    ("rock 'n' roll", "rock and roll"),
    ("30 miles / hour", "thirty miles per hour"),
    ("Tom & Jerry", "tom and jerry"),
    ("a + b = c", "a plus b equals c"),
    ("#1", "number one"),
    ("3x4", "three by four"),
    ("3 × 4", "three times four"),
    ("x² + y^3", "x squared plus y cubed"),
    ("and/or", "and or"),
    ("24/7", "twenty-four seven"),
    ("@home", "at home"),
    ("C++", "C plus plus"),
    # addresses
    ("user_name@site.co.uk", "user underscore name at site dot co dot uk"),
    ("http://localhost:8080/index.html", "localhost colon eight zero eight zero slash index dot html"),
    ("example.com/path?x=1", "example dot com slash path question mark x equals one"),
    ("john.doe@mail.com", "john dot doe at mail dot com"),
    ("https://www.example.com/a-b", "WWW dot example dot com slash a dash b"),
    ("See example.org.", "see example dot org."),
    # Unicode
    ("“Café” naïve", "cafe naive"),
    ("ﬁne œuvre Straße", "fine oeuvre strasse"),
    ("text—dash…", "text - dash."),
    ("it’s ‘fine’", "it's fine"),
    ("hello 😀 world", "hello world"),
    ("Łódź, Ångström, señor", "lodz, angstrom, senor"),
    ("(aside) here", ", aside, here"),
    ("٣ apples", "three apples"),
    ("the angle α", "the angle alpha"),
    ("line\n\nnext", "line. next"),
    ("dogs' bones, 'tis o'clock", "dogs bones, 'tis o'clock"),
]


@pytest.mark.parametrize(("written", "read"), ROWS)
def test_is_read_out(written: str, read: str) -> None:
    assert normalise(written) == read


def test_plain_words_stay_and_twice_is_once() -> None:
    text = "the quick brown fox, they say, jumps over the lazy dog; why? nobody knows!"
    assert normalise(text) == text
    for written, _ in ROWS:
        once = normalise(written)
        assert normalise(once.lower()).lower() == once.lower(), written


def test_random_texts_become_plain() -> None:
    """Whatever stands in the text, what comes out has letters, spaces and seven marks only."""
    draw = random.Random(0)
    alphabet = "abcXYZ  ..,,!?;:-'\"0123456789$£€%°/@#&+=*~^()[]<>_|\\\n\té“”—…½²😀"
    for _ in range(400):
        text = "".join(draw.choices(alphabet, k=draw.randint(0, 60)))
        assert re.fullmatch(r"[A-Za-z' ,.!?;:-]*", normalise(text)), text


def test_every_number_has_words_of_its_own() -> None:
    said = [cardinal(n) for n in range(2000)]
    assert len(set(said)) == len(said)
    assert all(number(f"{n:,}") == cardinal(n) for n in (0, 12, 999, 1000, 65_536, 10**9))
    assert len({year(n) for n in range(1100, 2100)}) == 1000
    assert decade(1920) == "nineteen twenties" and decade(60) == "sixties"


def test_roman_numerals_there_and_back() -> None:
    assert all(roman(write_roman(n)) == n for n in range(1, 4000))
    assert all(roman(bad) is None for bad in ("IIII", "VX", "IC", "", "ABC", "IIX"))


@pytest.mark.parametrize("bad", ["привет", "世界", "hello \ud800", "καλημέρα"])
def test_other_scripts_and_broken_text_are_refused(bad: str) -> None:
    with pytest.raises(FmAudioError, match="text:"):
        normalise(bad)
