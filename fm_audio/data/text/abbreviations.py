"""Tables of the English normaliser: abbreviations, units, currencies, months, symbols."""

from __future__ import annotations

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip
MONTH_OF = {name[:3].lower(): name for name in MONTHS} | {"sept": "September"} | {name.lower(): name for name in MONTHS}

# Written with a full stop, whatever follows; the stop goes.
DOTTED = {
    "mr": "mister", "mrs": "missus", "ms": "miz", "messrs": "messers", "prof": "professor", "gen": "general", "sen": "senator",
    "rep": "representative", "gov": "governor", "sgt": "sergeant", "capt": "captain", "lt": "lieutenant", "col": "colonel",
    "rev": "reverend", "hon": "honorable", "jr": "junior", "sr": "senior", "ave": "avenue", "blvd": "boulevard", "rd": "road",
    "mt": "mount", "vs": "versus", "etc": "et cetera", "approx": "approximately", "est": "established", "dept": "department",
    "inc": "incorporated", "ltd": "limited", "corp": "corporation", "co": "company", "bros": "brothers", "al": "al",
    "cf": "compare",
    "ca": "circa", "assn": "association", "univ": "university", "govt": "government", "misc": "miscellaneous", "esq": "esquire",
    "mon": "Monday", "tue": "Tuesday", "tues": "Tuesday", "wed": "Wednesday", "thu": "Thursday", "thurs": "Thursday",
    "fri": "Friday", "pres": "president", "adm": "admiral", "maj": "major", "cmdr": "commander", "hwy": "highway",
    "apt": "apartment",
    "sq": "square", "tel": "telephone", "ext": "extension", "viz": "namely", "incl": "including", "max": "maximum",
    "min": "minimum",
}  # fmt: skip
# Written with a full stop, and only before a number or a numeral.
NUMBERED = {
    "no": "number", "nos": "numbers", "fig": "figure", "figs": "figures", "vol": "volume", "vols": "volumes", "ch": "chapter",
    "chap": "chapter", "sec": "section", "pp": "pages", "p": "page", "pg": "page", "eq": "equation", "art": "article",
    "pt": "part",
    "ver": "version", "v": "version", "op": "opus", "st": "saint", "mk": "mark", "ref": "reference",
}  # fmt: skip
# Titles after which a full stop never ends a sentence; used by the sentence splitter too.
NEVER_ENDS = frozenset(
    "mr mrs ms messrs dr prof gen sen rep gov sgt capt lt col rev hon mt st ft vs approx dept cf ca pres "
    "adm maj cmdr no nos fig figs vol "
    "pp eq art jan feb mar apr jun jul aug sept sep oct nov dec e.g i.e viz incl al".split()
)

# unit -> (one, many); read after a number only
UNITS: dict[str, tuple[str, str]] = {
    **{u: (w, w + "s") for u, w in {
        "km": "kilometer", "m": "meter", "cm": "centimeter", "mm": "millimeter", "µm": "micrometer", "nm": "nanometer",
        "mi": "mile",
        "yd": "yard", "yds": "yard", "kg": "kilogram", "g": "gram", "mg": "milligram", "µg": "microgram", "lb": "pound",
        "lbs": "pound",
        "oz": "ounce", "L": "liter", "l": "liter", "ml": "milliliter", "mL": "milliliter", "cl": "centiliter", "dl": "deciliter",
        "gal": "gallon", "s": "second", "sec": "second", "secs": "second", "ms": "millisecond", "min": "minute", "mins": "minute",
        "h": "hour", "hr": "hour", "hrs": "hour", "yr": "year", "yrs": "year", "KB": "kilobyte", "kB": "kilobyte",
        "MB": "megabyte",
        "GB": "gigabyte", "TB": "terabyte", "kb": "kilobit", "Mb": "megabit", "Gb": "gigabit", "W": "watt", "kW": "kilowatt",
        "MW": "megawatt", "GW": "gigawatt", "kWh": "kilowatt hour", "V": "volt", "kV": "kilovolt", "mA": "milliamp",
        "dB": "decibel",
        "cal": "calory", "kcal": "kilocalory", "kJ": "kilojoule", "ha": "hectare", "Ω": "ohm", "px": "pixel", "pt": "point",
        "kPa": "kilopascal", "mph": "mile per hour", "kph": "kilometer per hour", "ly": "light year",
    }.items()},
    "mph": ("mile per hour", "miles per hour"), "kph": ("kilometer per hour", "kilometers per hour"),
    "km/h": ("kilometer per hour", "kilometers per hour"), "m/s": ("meter per second", "meters per second"),
    "kmh": ("kilometer per hour", "kilometers per hour"), "ft": ("foot", "feet"), "in": ("inch", "inches"),
    "cal": ("calorie", "calories"), "kcal": ("kilocalorie", "kilocalories"), "fps": ("frame per second", "frames per second"),
    "rpm": ("revolution per minute", "revolutions per minute"), "psi": ("pound per square inch", "pounds per square inch"),
    "mpg": ("mile per gallon", "miles per gallon"), "Mbps": ("megabit per second", "megabits per second"),
    "Hz": ("hertz", "hertz"), "kHz": ("kilohertz", "kilohertz"), "MHz": ("megahertz", "megahertz"),
    "GHz": ("gigahertz", "gigahertz"),
    "°C": ("degree Celsius", "degrees Celsius"), "°F": ("degree Fahrenheit", "degrees Fahrenheit"), "°": ("degree", "degrees"),
    "k": ("thousand", "thousand"), "sqft": ("square foot", "square feet"),
    "lbf": ("pound force", "pounds force"), "bn": ("billion", "billion"),
}  # fmt: skip
AREAS = {"2": "square", "3": "cubic"}

# sign -> (one, many, one hundredth, hundredths)
MONEY = {
    "$": ("dollar", "dollars", "cent", "cents"), "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"), "₹": ("rupee", "rupees", "paisa", "paise"),
}  # fmt: skip
CURRENCY_CODES = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹"}  # in front of an amount
PER = "second|minute|hour|day|night|week|month|year|person|head|piece"  # what follows a stroke that is said "per"
MAGNITUDES = {"k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion", "tn": "trillion"}

PLAIN_SYMBOLS = {
    "&": "and", "@": "at", "=": "equals", "+": "plus", "%": "percent", "#": "number", "<": "less than", ">": "greater than",
    "°": "degrees", "£": "pounds", "€": "euros", "$": "dollars", "¥": "yen", "¢": "cents", "Ω": "ohm", "µ": "micro",
}  # fmt: skip
WEB_SYMBOLS = {
    ".": "dot", "/": "slash", "-": "dash", "_": "underscore", "~": "tilde", "?": "question mark", "=": "equals", "&": "and",
    "#": "hash", "%": "percent", "@": "at", ":": "colon", "+": "plus", ",": "comma",
}  # fmt: skip
TLDS = "com|org|net|edu|gov|io|info|co|ai|dev|app|uk|us|de|fr|eu|tv|me|ca|au"

NUMERAL_HEADS = (
    "Chapter|Part|Book|Volume|Act|Scene|Section|Article|War|Phase|Type|Appendix|Class|Bowl|Mark|Level|Stage|Title|Season|Episode|"
    "Figure|Table|Grade|Apollo|Gemini|Rocky|Canto|Psalm|Samuel|Kings|Chronicles|Corinthians|Version|Group|Unit|Vol"
)
RULERS = (
    "Louis|Henry|George|Charles|Edward|James|William|Richard|Elizabeth|Paul|Pius|Benedict|Napoleon|Alexander|Ivan|Peter|"
    "Catherine|Nicholas|Frederick|Philip|Leo|Gregory|Innocent|Clement|Otto|Rameses|Ramses|Mary|John|Wilhelm|Francis|Ferdinand|"
    "Ptolemy|Gustav|Christian|Boniface|Urban|Julius|Ludwig|Xerxes|Darius|Artaxerxes|Constantine|Leopold|Malcolm|Robert|Edgar"
)
# Words that are letters when they stand in capitals, though the dictionary knows the word in small letters.
SPELLED = frozenset("US IT AI UN EU UK ID PC TV PM AM OK WHO IP CD PR HR VP MD PA LA DC BC AD CE BCE PS".split())
# A capitalised one of these after a full stop begins a sentence.
STARTERS = frozenset(
    "The He She It They We You I A An And But Or So If In On At To For From With This That These Those "
    "There Then When Where While "
    "What Who Why How His Her Its Our Their My Your No Not Yes As After Before Because However Although "
    "By Is Are Was Do Did Can Let".split()
)
