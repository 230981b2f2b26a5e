"""A thousand texts of many kinds, always the same ones, to compare tokenizers."""

# ruff: noqa: RUF001 - ambiguous characters are part of the test data

import itertools
import random
import string
import unicodedata
from collections.abc import Callable

SUBJECTS = (
    "cat",
    "hot-air balloon",
    "Eiffel Tower",
    "x-ray",
    "naïve café",
    "smörgåsbord",
    "iPhone 15 Pro",
    "rock'n'roll",
)
PLACES = ("on a beach", "in the snow", "at 3:45pm", "(blurred)", "— close-up", "by Gustav Klimt", "wearing a hat", "")
TEMPLATES = (
    "a photo of a {}",
    "A low-res JPEG of my {}!",
    "itap of {}.",
    "the {}’s owner",
    "THE  {}\tIN\nCAPITALS",
    "{}s",
)
CONTRACTED = (
    "it's",
    "Don't",
    "we'RE",
    "I've",
    "I'm",
    "they'll",
    "she'd",
    "o'clock",
    "'tis",
    "''s",
    "!'s",
    "rock'n'roll's",
)
EMOJI = ("😀", "👩‍👩‍👧‍👦", "👍🏽", "🏳️‍🌈", "🇨🇭", "❤️", "🤷🏿‍♂️", "1️⃣", "☂", "🫠")
SCRIPTS = (
    "一只猫的照片",
    "東京タワーの夜景、きれい！",
    "カメラ ｶﾒﾗ ㍿",
    "고양이 사진",
    unicodedata.normalize("NFD", "고양이 사진"),
    "صورة قطة على الشاطئ",
    "صُورَةُ قِطَّةٍ ٣٤٥",
    "תמונה של חתול",
    "שָׁלוֹם \u202eabc\u202c \u200fdef",
    "фотография кошки Ёлка",
    "μια γάτα στην παραλία",
    "बिल्ली की तस्वीर",
    "รูปแมวบนชายหาด",
    "ፎቶ ድመት",
    "ᚠᚢᚦ 𐍈 𝕬𝖇𝖈 𝟘𝟙𝟚",
    "İstanbul ISPARTA ıi ẞß ǅ ﬁ",
)
NUMBERS = ("0", "1234567890", "3.14159", "1,000,000", "½ ²³ Ⅻ ٣ 五", "2026-11-24", "0x1F", "10^6", "№5 $9.99 50%")
CONTROLS = (
    "\x00",
    "a\x00b",
    "\x07bell\x1b[31m",
    "tab\there",
    "line\r\nline",
    "nbsp\u00a0here",
    "\u2028\u2029",
    "\ufeffbom",
    "soft\u00adhyphen",
    "\x7f\x85\x9f",
    "\u200b\u2060",
    "\x1c\x1d\x1e\x1f",
)
MARKS = ("e\u0301", "Z̸̡̛a̶l̵g̷o̴", "n\u0303o\u0308", "\u0301", "a" + "\u0323\u0307" * 30, "ä ö ü", "\u1e9b\u0323")


def _captions() -> list[str]:
    return [
        f"{template.format(subject)} {place}"
        for template, subject, place in itertools.product(TEMPLATES, SUBJECTS, PLACES)
    ]


def _generate(make: Callable[[random.Random], str], count: int) -> list[str]:
    generator = random.Random(77)
    return [make(generator) for _ in range(count)]


def _punctuation(generator: random.Random) -> str:
    return "".join(generator.choices(string.punctuation + " 'a1", k=generator.randint(1, 40)))


def _long(generator: random.Random) -> str:
    words = (
        *SUBJECTS,
        *CONTRACTED,
        *NUMBERS,
        *SCRIPTS,
        *string.ascii_letters,
        "photograph",
        "unbelievably",
        "the",
        "of",
    )
    return " ".join(generator.choices(words, k=500))


def _mixed(generator: random.Random) -> str:
    pieces = (
        *SUBJECTS,
        *EMOJI,
        *SCRIPTS,
        *NUMBERS,
        *CONTRACTED,
        *CONTROLS,
        *MARKS,
        *string.whitespace,
        *string.punctuation,
    )
    return "".join(generator.choices(pieces, k=generator.randint(2, 12)))


def _any_characters(generator: random.Random) -> str:
    return "".join(generator.choices(UNICODE_3_2, k=generator.randint(1, 30)))


# The characters of Unicode 3.2 (2002), which every library knows and whose categories are stable. The capital sigma is
# excluded: its lower-case letter depends on the position in the word, which `tokenizers` ignores.
UNICODE_3_2 = [
    character
    for character in map(chr, range(0x110000))
    if unicodedata.ucd_3_2_0.category(character) not in {"Cn", "Cs", "Co"} and character != "Σ"
]

TEXTS = {
    "captions": _captions(),
    "contractions": list(CONTRACTED),
    "emoji": [*EMOJI, *map("".join, itertools.product(EMOJI, EMOJI)), *(f"a {emoji} cat{emoji}" for emoji in EMOJI)],
    "scripts": [*SCRIPTS, *map(" ".join, itertools.pairwise(SCRIPTS)), *(script * 20 for script in SCRIPTS)],
    "numbers": list(NUMBERS),
    "controls": list(CONTROLS),
    "marks": list(MARKS),
    "punctuation": _generate(_punctuation, 150),
    "500 words": _generate(_long, 10),
    "mixed": _generate(_mixed, 250),
    "any characters": _generate(_any_characters, 250),
    "blank": ["", " ", "\t\n", "\u3000", "  a  b  "],
}
