"""Text analysis: statistics and readability, hyphenation, scripts, languages and emoji."""

import re
import unicodedata
from collections import Counter
from functools import cache
from typing import Annotated, Any

import babel
import emoji
import pycountry
import pyphen
from anyascii import anyascii
from babel.core import get_global
from babel.languages import get_territory_language_info

from .core import (
    CLASSROOM_HELPER,
    GLOBAL_COMMERCE,
    TRAVEL_PLANNER,
    Answer,
    Doc,
    Raw,
    Refusal,
    Tool,
    every,
    listed,
    rows,
    unknown,
    wrong,
)
from .places import paged

CATEGORY = "Text_Analysis"

statistics_tool = Tool(
    "Text Statistics",
    category=CATEGORY,
    collections=[CLASSROOM_HELPER],
    description="Counts words and sentences, measures how hard a text is to read.",
    host="text-statistics",
)

TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the "
    "age of foolishness.",
    "We hold these truths to be self-evident, that all men are created equal, that they are "
    "endowed by their Creator with certain unalienable Rights, that among these are Life, "
    "Liberty and the pursuit of Happiness.",
    "The cat sat. The dog ran. The sun is hot.",
    "Photosynthesis converts electromagnetic radiation into chemical energy. Chlorophyll absorbs "
    "predominantly blue and red wavelengths.",
    "To be, or not to be, that is the question.",
]
Text = Annotated[str, Doc("The text", TEXTS[0])]


def words_of(text: str) -> list[str]:
    """Return the words of a text."""
    return re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", text)


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a text."""
    return [part for part in re.split(r"[.!?…]+(?:\s+|$)", text) if words_of(part)]


def some_words(text: str) -> list[str]:
    """Return a text's words, of which there must be some."""
    words = words_of(text)
    if not words:
        raise wrong("'text' has no words")
    return words


@statistics_tool.post(
    "Analyse",
    "/analyse",
    samples=every(text=TEXTS),
    refused={400: [{}, {"text": "12 34 !!"}, {"text": ["a", "list"]}]},
)
def analyse(text: Text) -> Answer:
    """Numbers of characters, words, distinct words and sentences; average and longest word."""
    words = some_words(text)
    return {
        "characters": len(text),
        "letters": sum(character.isalpha() for character in text),
        "words": len(words),
        "distinct_words": len({word.lower() for word in words}),
        "sentences": len(sentences_of(text)),
        "average_word_length": round(sum(map(len, words)) / len(words), 2),
        "longest_word": max(words, key=len),
    }


@statistics_tool.post(
    "readability",
    "/readability",
    samples=every(text=TEXTS),
    refused={400: [{"text": "..."}]},
)
def readability(text: Text) -> Answer:
    """Automated readability index and Coleman-Liau index: the school grade a text needs."""
    words, sentences = some_words(text), sentences_of(text)
    letters = sum(character.isalpha() for word in words for character in word)
    per_word, per_sentence = letters / len(words), len(words) / len(sentences)
    return {
        "words": len(words),
        "sentences": len(sentences),
        "letters_per_word": round(per_word, 2),
        "words_per_sentence": round(per_sentence, 2),
        "automated_readability_index": round(4.71 * per_word + 0.5 * per_sentence - 21.43, 1),
        "coleman_liau_index": round(5.88 * per_word - 29.6 / per_sentence - 15.8, 1),
    }


@statistics_tool.post(
    "Word frequency",
    "/frequency",
    samples=[
        *every(text=TEXTS[:4]),
        {"text": TEXTS[1], "exclude": ["it", "was", "the", "of"]},
        {"text": TEXTS[5], "top": 2},
    ],
    refused={400: [{"text": TEXTS[0], "top": "all"}, {"exclude": ["the"]}]},
)
def word_frequency(
    text: Text,
    exclude: Annotated[list[str] | None, Doc("Words to leave out")] = None,
    top: Annotated[int, Doc("How many words", low=1, high=50)] = 5,
) -> Answer:
    """The most frequent words of a text, without the words you exclude."""
    left_out = {str(word).lower() for word in exclude or []}
    counts = Counter(word.lower() for word in some_words(text))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept = [(word, count) for word, count in ranked if word not in left_out]
    return {"frequencies": [{"word": word, "count": count} for word, count in kept[:top]]}


hyphen_tool = Tool(
    "Hyphenation and Transliteration",
    category=CATEGORY,
    collections=[CLASSROOM_HELPER, TRAVEL_PLANNER],
    description="Splits words into syllables, writes any script in Latin letters, names "
    "characters.",
    host="hyphenation-and-transliteration",
    error_key="error",
)


@hyphen_tool.get(
    "Hyphenate",
    "/hyphenate",
    samples=every(word=["university", "photosynthesis", "hyphenation"], lang=["en_US", "en_GB"])
    + rows(
        "word lang",
        ("Geschwindigkeit", "de_DE"),
        ("bibliothèque", "fr"),
        ("raamatukogu", "et_EE"),
        ("biblioteca", "es"),
    ),
    refused={400: [{"lang": "de_DE"}], 404: [{"word": "library", "lang": "xx"}]},
)
def hyphenate(
    word: Annotated[str, Doc("A word", "university")],
    lang: Annotated[str, Doc("Language, such as en_US or de_DE", "en_US")] = "en_US",
) -> Answer:
    """Where a word may be divided at the end of a line, by the LibreOffice dictionaries."""
    if lang not in pyphen.LANGUAGES:
        raise unknown(f"No dictionary for language '{lang}'")
    parts = pyphen.Pyphen(lang=lang).inserted(word, hyphen="\xad").split("\xad")
    return {"word": word, "lang": lang, "hyphenated": "-".join(parts), "parts": parts}


@hyphen_tool.post(
    "transliterate",
    "/ascii",
    body="form",
    samples=every(
        text=["Αθήνα", "Москва", "北京", "東京", "Łódź", "Þingvellir", "São Paulo", "القاهرة"]
    ),
    refused={400: [{}]},
)
def transliterate(text: Annotated[str, Doc("Text in any script", "Αθήνα")]) -> Answer:
    """Any text in plain Latin letters, character by character. The answer is plain text."""
    return Raw(anyascii(text))


@hyphen_tool.get(
    "Character names",
    "/characters",
    samples=every(text=["é", "ß€", "Ω", "日本", "👍", "Tõnu", "½²"]),
    refused={400: [{}]},
)
def character_names(text: Annotated[str, Doc("One or more characters", "é")]) -> Answer:
    """The Unicode names, code points and categories of the first ten characters of a text."""
    return {
        "text": text,
        "characters": [
            {
                "character": one,
                "code_point": f"U+{ord(one):04X}",
                "name": unicodedata.name(one, None),
                "category": unicodedata.category(one),
            }
            for one in text[:10]
        ],
    }


language_tool = Tool(
    "Language Codes",
    category=CATEGORY,
    collections=[TRAVEL_PLANNER, GLOBAL_COMMERCE],
    description="Languages and their codes, names, scripts, and where they are spoken.",
    host="language-codes",
    error_key="detail",
)

LANGUAGES = listed("et en fr de es ja ar ru fi hi zh pt")
LanguageCode = Annotated[str, Doc("ISO 639 code of two or three letters", "et")]


def language_of(code: str) -> Any:
    """Return a language by its two- or three-letter code."""
    key = "alpha_2" if len(code) == 2 else "alpha_3"
    found = pycountry.languages.get(**{key: code.lower()})
    if found is None:
        raise unknown(f"Language not found: {code}")
    return found


def locale_of(code: str) -> babel.Locale:
    """Return the locale data of a language."""
    try:
        return babel.Locale.parse(code)
    except (babel.UnknownLocaleError, ValueError):
        raise unknown(f"No locale data for: {code}") from None


@language_tool.get(
    "Language details",
    "/languages/{code}",
    samples=every(code=[*LANGUAGES, "est", "haw"]),
    refused={404: every(code=["xx", "klingon"])},
)
def language_details(code: LanguageCode) -> Answer:
    """English and own name, codes, script and writing direction of a language."""
    found = language_of(code)
    short = getattr(found, "alpha_2", found.alpha_3)
    likely = get_global("likely_subtags").get(short, "").split("_")
    locale = locale_of(short)
    script = pycountry.scripts.get(alpha_4=likely[1]) if len(likely) == 3 else None
    return {
        "name": found.name,
        "native_name": locale.get_display_name(short),
        "iso639_1": getattr(found, "alpha_2", None),
        "iso639_3": found.alpha_3,
        "script": script.name if script else None,
        "direction": locale.text_direction,
        "main_territory": likely[-1] or None,
    }


@language_tool.get(
    "searchLanguage",
    "/languages",
    samples=[
        *every(name=["Estonian", "German", "Chinese", "Sign Language", "Finnish", "Arabic"]),
        {"name": "Sign Language", "page": 2},
        {"name": "Dothraki"},
    ],
    refused={400: [{}, {"name": "German", "page": "two"}]},
)
def search_language(
    name: Annotated[str, Doc("Part of the English name", "Estonian")],
    page: Annotated[int, Doc("Page number, from 1", low=1, high=100)] = 1,
) -> Answer:
    """Languages of ISO 639-3 whose English name contains a text, a page at a time."""
    found = sorted(
        (one for one in pycountry.languages if name.lower() in one.name.lower()),
        key=lambda one: (len(one.name), one.name),
    )
    start = 10 * page - 10
    return {
        "total": len(found),
        "page": page,
        "next": page + 1 if start + 10 < len(found) else None,
        "languages": [{"code": one.alpha_3, "name": one.name} for one in found[start : start + 10]],
    }


@language_tool.get(
    "Languages of a territory",
    "/territories/{territory}/languages",
    samples=every(territory=listed("EE CH BE IN CA FI SG ZA US FR LU")),
    refused={404: [{"territory": "XX"}]},
)
def languages_of_a_territory(
    territory: Annotated[str, Doc("ISO country code", "EE")],
) -> Answer:
    """The languages of a country with the share of people who use them (CLDR) and their status."""
    found: dict[str, Any] = get_territory_language_info(territory.upper())
    if not found:
        raise unknown(f"Territory not found: {territory}")
    ranked = sorted(found.items(), key=lambda item: (-item[1]["population_percent"], item[0]))
    return {
        "territory": territory.upper(),
        "total": len(ranked),
        "languages": [
            {
                "code": code,
                "percent": about["population_percent"],
                "official": about["official_status"],
            }
            for code, about in ranked[:10]
        ],
    }


@language_tool.get(
    "Language name in other languages",
    "/languages/{code}/names",
    samples=every(code=listed("et en fr de ja ar fi")),
    refused={404: [{"code": "qq"}]},
)
def language_name_in_other_languages(code: LanguageCode) -> Answer:
    """What a language is called in twenty other languages."""
    language_of(code)
    others = listed("ar bn de el en es et fi fr he hi it ja ka ko pl pt ru th zh")
    names = [{"in": one, "name": babel.Locale(one).languages.get(code.lower())} for one in others]
    return {"code": code, "names": names}


sentiment_tool = Tool(
    "Premium Sentiment",
    category=CATEGORY,
    collections=[GLOBAL_COMMERCE],
    description="State-of-the-art sentiment and emotion scores for reviews. Paid plans only.",
    host="premium-sentiment",
    subscribed=False,
    pricing="PAID",
)


@sentiment_tool.post(
    "Sentiment",
    "/v1/sentiment",
    refused={403: [{"text": "I loved the holiday, but the flight was late."}]},
    worthless="needs a paid subscription",
)
def sentiment(text: Annotated[str, Doc("The text", "I loved it")]) -> Answer:
    """Positive, neutral or negative, with a score."""
    raise Refusal(403, "You are not subscribed to this API.")


@sentiment_tool.post(
    "Emotions",
    "/v1/emotions",
    refused={403: [{"text": "What a day!"}]},
    worthless="needs a paid subscription",
)
def emotions(text: Annotated[str, Doc("The text", "What a day!")]) -> Answer:
    """Joy, anger, fear, sadness and surprise in a text."""
    raise Refusal(403, "You are not subscribed to this API.")


emoji_tool = Tool(
    "Emoji Dictionary",
    category=CATEGORY,
    collections=[CLASSROOM_HELPER],
    description="The names and code points of emoji, and emoji found in texts.",
    host="emoji-dictionary",
    error_key="detail",
)

EMOJI = listed("🐘 🎉 🦄 🍕 🚀 😂 ❤️ 🥑 🦦 🇪🇪 👩‍🚀 🫠 🎸")
EMOJI_LANGUAGES = sorted(emoji.LANGUAGES)
EmojiName = Annotated[str, Doc("The emoji, or its English name", "🐘", name="emoji")]


@cache
def emoji_names() -> dict[str, str]:
    """Return the fully qualified emoji by their English names, in lower case."""
    return {
        words(facts["en"]).casefold(): sign
        for sign, facts in emoji.EMOJI_DATA.items()
        if facts["status"] == emoji.STATUS["fully_qualified"]
    }


def words(short: str) -> str:
    """Return a name such as ``:red_heart:`` as plain words."""
    return short.strip(":").replace("_", " ")


def emoji_of(name: str) -> str:
    """Return an emoji, given itself or its name."""
    found = name if name in emoji.EMOJI_DATA else emoji_names().get(words(name).casefold())
    if found is None:
        raise unknown(f"No emoji '{name}'")
    return found


@emoji_tool.get(
    "Emoji details",
    "/emoji",
    samples=every(emoji=[*EMOJI, "party popper", "otter", "avocado"]),
    refused={404: every(emoji=["smurf", "A"]), 400: [{}]},
)
def emoji_details(name: EmojiName) -> Answer:
    """Name, code points and Emoji version of an emoji, and what else it is called."""
    found = emoji_of(name)
    facts: dict[str, Any] = emoji.EMOJI_DATA[found]
    return {
        "emoji": found,
        "name": words(facts["en"]),
        "also_called": [words(alias) for alias in facts.get("alias", [])],
        "code_points": " ".join(f"U+{ord(sign):04X}" for sign in found),
        "emoji_version": facts["E"],
    }


@emoji_tool.get(
    "searchEmoji",
    "/search",
    samples=[
        *every(q=listed("cat heart moon train astronaut key rocket musical bird")),
        {"q": "face", "offset": 20},
        {"q": "heart", "limit": 3},
    ],
    refused={400: [{"q": "x"}, {}], 404: [{"q": "smurf"}]},
)
def search_emoji(
    q: Annotated[str, Doc("Part of the English name, at least two letters", "cat")],
    offset: Annotated[int, Doc("First emoji of the page", low=0)] = 0,
    limit: Annotated[int, Doc("Emoji per page", low=1, high=20)] = 10,
) -> Answer:
    """Emoji whose English name contains a text, a page at a time."""
    if len(q) < 2:
        raise wrong("'q' must have at least two letters")
    found = [
        {"emoji": sign, "name": name}
        for name, sign in emoji_names().items()
        if q.casefold() in name
    ]
    if not found:
        raise unknown(f"No emoji with '{q}' in its name")
    return paged(found, offset, limit)


@emoji_tool.get(
    "Emoji name in a language",
    "/emoji/name",
    samples=[
        *every(emoji=["🐘", "🎉", "🦄", "🥑"], language=["de", "fr", "es"]),
        *rows("emoji language", ("🚀", "ja"), ("🍕", "it"), ("otter", "pt"), ("🎸", "tr")),
    ],
    refused={
        400: [*rows("emoji language", ("🐘", "tlh")), {"emoji": "🐘"}],
        404: rows("emoji language", ("smurf", "de")),
    },
)
def emoji_name_in_a_language(
    name: EmojiName,
    language: Annotated[
        str, Doc("Language code such as de, fr, ja", "de", choices=tuple(EMOJI_LANGUAGES))
    ],
) -> Answer:
    """What an emoji is called in one of 14 languages."""
    found = emoji_of(name)
    emoji.config.load_language(language)
    return {
        "emoji": found,
        "language": language,
        "name": words(emoji.EMOJI_DATA[found].get(language, "")) or None,
    }


@emoji_tool.post(
    "Find emoji in a text",
    "/find",
    samples=every(
        text=[
            "Happy birthday 🎉🎂🎉",
            "I ❤️ Tallinn",
            "no emoji at all",
            "🚀🚀 to the 🌕",
            "Flight to 🇪🇪 and 🇫🇮 booked ✈️",
            "Great service 👍👍👍 but slow 🐌",
            "👩‍🚀 meets 👽",
            "Pizza 🍕 or sushi 🍣?",
            "😂😂😂",
            "Rain ☔ then sun ☀️",
        ]
    ),
    refused={400: [{}]},
)
def find_emoji_in_a_text(
    text: Annotated[str, Doc("The text", "Happy birthday 🎉🎂🎉")],
) -> Answer:
    """The emoji in a text with their names and how often each comes, and the text without them."""
    found = Counter(match["emoji"] for match in emoji.emoji_list(text))
    return {
        "total": sum(found.values()),
        "emoji": [
            {"emoji": sign, "name": words(emoji.EMOJI_DATA[sign]["en"]), "times": times}
            for sign, times in found.items()
        ],
        "text_only": " ".join(emoji.replace_emoji(text, "").split()),
    }
