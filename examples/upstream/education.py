"""Education: numbers in words, calendars, whole numbers, and statistics."""

import datetime
import math
import statistics
from typing import Annotated, Any

import roman
from convertdate import hebrew, holidays, indian_civil, islamic, julian, persian
from num2words import CONVERTER_CLASSES, num2words

from .core import (
    CLASSROOM_HELPER,
    GLOBAL_COMMERCE,
    SKY_AND_SPACE,
    Answer,
    Doc,
    Tool,
    every,
    listed,
    rows,
    unknown,
    wrong,
)

CATEGORY = "Education"

speller_tool = Tool(
    "Number Speller",
    category=CATEGORY,
    collections=[CLASSROOM_HELPER, GLOBAL_COMMERCE],
    description="Writes numbers, ordinals, years and amounts of money in words, in 50 languages.",
    host="number-speller",
)

Whole = Annotated[int, Doc("Whole number", 2025, low=-1e15, high=1e15)]
Language = Annotated[str, Doc("Language code such as en, de, fr", "en")]


def spelled(number: float, language: str, form: str, **more: Any) -> str:
    """Return a number in words."""
    if language not in CONVERTER_CLASSES:
        raise unknown(f"Language '{language}' is not supported")
    try:
        return str(num2words(number, lang=language, to=form, **more))
    except (NotImplementedError, OverflowError, TypeError, ValueError, IndexError):
        raise wrong(f"'{form}' of {number} cannot be written in '{language}'") from None


@speller_tool.get(
    "Number to words",
    "/words",
    samples=every(number=[42, 2025], lang=listed("en de fr es fi ru ja"))
    + every(number=[1000000, 1234567, -7], lang=["en"]),
    refused={400: [{"number": "forty-two"}, {"lang": "de"}], 404: [{"number": 42, "lang": "tlh"}]},
)
def number_to_words(number: Whole, lang: Language = "en") -> Answer:
    """A whole number in words."""
    return {"number": number, "lang": lang, "words": spelled(number, lang, "cardinal")}


@speller_tool.get(
    "Ordinal",
    "/ordinal",
    samples=[
        *every(number=[1, 3, 21, 100], lang=["en", "fr"]),
        {"number": 21, "lang": "de"},
        {"number": 21, "lang": "es"},
    ],
    refused={400: [{"number": "1st"}, {"number": -3, "lang": "en"}]},
)
def ordinal(number: Whole, lang: Language = "en") -> Answer:
    """The ordinal of a number, such as 'twenty-first'."""
    return {"number": number, "lang": lang, "words": spelled(number, lang, "ordinal")}


@speller_tool.get(
    "amountInWords",
    "/amount",
    samples=[
        *every(amount=[20.5, 1234.56], currency=["EUR", "USD"], lang=listed("en de fr es")),
        {"amount": 99.99, "currency": "GBP", "lang": "en"},
    ],
    refused={400: [{"amount": 20.5}, {"amount": 20.5, "currency": "XXX", "lang": "en"}]},
)
def amount_in_words(
    amount: Annotated[float, Doc("Amount of money", 20.5, low=0, high=1e12)],
    currency: Annotated[str, Doc("ISO 4217 code", "EUR")],
    lang: Language = "en",
) -> Answer:
    """An amount of money in words, as on a cheque."""
    words = spelled(round(amount, 2), lang, "currency", currency=currency.upper())
    return {"amount": amount, "currency": currency.upper(), "lang": lang, "words": words}


@speller_tool.get(
    "Languages",
    "/languages",
    samples=[{}],
)
def languages() -> Answer:
    """The language codes that can be used."""
    return {"count": len(CONVERTER_CLASSES), "languages": sorted(CONVERTER_CLASSES)}


calendar_tool = Tool(
    "Calendar Converter",
    category=CATEGORY,
    collections=[CLASSROOM_HELPER, SKY_AND_SPACE],
    description="Dates in the Hebrew, Islamic, Persian, Indian and Julian calendars, and Easter.",
    host="calendar-converter",
    error_key="error",
)

CALENDARS: dict[str, Any] = {
    "hebrew": hebrew,
    "indian_civil": indian_civil,
    "islamic": islamic,
    "julian": julian,
    "persian": persian,
}
Calendar = Annotated[str, Doc("Calendar", "hebrew", choices=tuple(CALENDARS))]
Date = Annotated[datetime.date, Doc("Gregorian date as YYYY-MM-DD", "2025-06-21")]


@calendar_tool.get(
    "From Gregorian",
    "/from",
    samples=every(date=["2025-06-21", "2000-01-01"], calendar=list(CALENDARS))
    + rows("date calendar", ("1918-02-14", "julian"), ("2025-09-23", "hebrew")),
    refused={400: [{"date": "2025-06-21", "calendar": "mayan"}, {"date": "2025-06-31"}]},
)
def from_gregorian(date: Date, calendar: Calendar) -> Answer:
    """A Gregorian date in another calendar."""
    year, month, day = CALENDARS[calendar].from_gregorian(date.year, date.month, date.day)
    return {"gregorian": str(date), "calendar": calendar, "year": year, "month": month, "day": day}


@calendar_tool.get(
    "To Gregorian",
    "/to",
    samples=rows(
        "calendar year month day",
        ("hebrew", 5786, 7, 1),
        ("islamic", 1447, 1, 1),
        ("islamic", 1446, 9, 1),
        ("persian", 1404, 1, 1),
        ("julian", 1917, 10, 25),
        ("indian_civil", 1947, 1, 1),
    ),
    refused={400: [*rows("calendar year month day", ("islamic", 1447, 14, 1)), {"year": 5786}]},
)
def to_gregorian(
    calendar: Calendar,
    year: Annotated[int, Doc("Year in that calendar", 5786, low=1, high=9000)],
    month: Annotated[int, Doc("Month, 1 to 13", 7, low=1, high=13)],
    day: Annotated[int, Doc("Day of the month", 1, low=1, high=31)],
) -> Answer:
    """A date of another calendar as a Gregorian date."""
    try:
        found = datetime.date(*CALENDARS[calendar].to_gregorian(year, month, day))
    except (ValueError, TypeError):
        raise wrong(f"No such {calendar} date: {year}-{month}-{day}") from None
    if CALENDARS[calendar].from_gregorian(found.year, found.month, found.day) != (year, month, day):
        raise wrong(f"No such {calendar} date: {year}-{month}-{day}")
    return {
        "calendar": calendar,
        "year": year,
        "month": month,
        "day": day,
        "gregorian": str(found),
        "weekday": found.strftime("%A"),
    }


@calendar_tool.get(
    "Easter",
    "/easter/{year}",
    samples=every(year=[2000, 2023, 2024, 2025, 2026, 2027, 2030]),
    refused={400: [{"year": "next"}]},
)
def easter(year: Annotated[int, Doc("Year", 2025, low=1900, high=2099)]) -> Answer:
    """Western and Orthodox Easter Sunday of a year, as Gregorian dates."""
    western = datetime.date(*holidays.easter(year))
    orthodox = datetime.date(*holidays.easter(year, church="orthodox"))
    return {"year": year, "western": str(western), "orthodox": str(orthodox)}


@calendar_tool.get(
    "About a date",
    "/date",
    samples=every(
        date=listed("2025-06-21 2025-01-01 2024-12-30 2024-02-29 1969-07-20 2000-01-01 2025-12-24")
    ),
    refused={400: [{}, {"date": "2025-02-29"}]},
)
def about_a_date(date: Date) -> Answer:
    """Weekday, ISO week, day of the year and Julian day number of a date."""
    iso = date.isocalendar()
    leap = (date.replace(month=12, day=31) - date.replace(month=1, day=1)).days == 365
    return {
        "date": str(date),
        "weekday": date.strftime("%A"),
        "iso_week": f"{iso.year}-W{iso.week:02}",
        "day_of_year": date.timetuple().tm_yday,
        "quarter": (date.month + 2) // 3,
        "leap_year": leap,
        "julian_day": date.toordinal() + 1721424.5,
    }


@calendar_tool.get(
    "daysBetween",
    "/between",
    samples=rows(
        "start end",
        ("2025-01-01", "2025-12-24"),
        ("2025-06-21", "2025-12-24"),
        ("2025-03-01", "2025-08-15"),
        ("1969-07-20", "2025-07-20"),
        ("2024-02-01", "2024-03-01"),
        ("2025-06-21", "2025-06-24"),
    ),
    refused={400: [{"start": "2025-06-21"}, {"start": "2025-06-21", "end": "2020-01-01"}]},
)
def days_between(
    start: Date, end: Annotated[datetime.date, Doc("Later date as YYYY-MM-DD", "2025-12-24")]
) -> Answer:
    """Days, weeks and working days (Monday to Friday) from one date to another."""
    days = (end - start).days
    if days < 0:
        raise wrong("'end' must not be before 'start'")
    working = sum((start.weekday() + n) % 7 < 5 for n in range(days))
    return {
        "start": str(start),
        "end": str(end),
        "days": days,
        "weeks": round(days / 7, 2),
        "working_days": working,
    }


facts_tool = Tool(
    "Number Facts",
    category=CATEGORY,
    collections=[CLASSROOM_HELPER],
    description="Prime factors, divisors, Roman numerals and other bases.",
    host="number-facts",
    error_key="detail",
)

Positive = Annotated[int, Doc("Positive whole number", 360, low=1, high=1e12)]


def prime_factors(number: int) -> list[int]:
    """Return the prime factors of a number, the smallest first."""
    factors = []
    divisor = 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return factors + [number] * (number > 1)


@facts_tool.get(
    "Factorise",
    "/factors/{number}",
    samples=every(number=[2, 12, 91, 97, 360, 1001, 2025, 65537, 1000000, 600851475143]),
    refused={400: every(number=[0, "seven", 2.5])},
)
def factorise(number: Positive) -> Answer:
    """Prime factors of a number, and whether it is prime."""
    factors = prime_factors(number)
    return {"number": number, "prime": len(factors) == 1, "factors": factors}


@facts_tool.get(
    "Divisors",
    "/divisors/{number}",
    samples=every(number=[6, 12, 28, 97, 360, 496, 2025, 5040]),
    refused={400: every(number=["many", 10000000])},
)
def divisors(
    number: Annotated[int, Doc("Number up to a million", 360, low=1, high=1e6)],
) -> Answer:
    """All divisors of a number, their count and sum."""
    found = [n for n in range(1, number + 1) if number % n == 0]
    proper = sum(found) - number
    return {
        "number": number,
        "count": len(found),
        "sum": sum(found),
        "perfect": proper == number,
        "divisors": found,
    }


@facts_tool.get(
    "Roman numerals",
    "/roman",
    samples=every(value=listed("4 49 1066 1994 2025 MMXXV XLII MCMXCIV")),
    refused={400: every(value=["IIX", "5000", "0"])},
)
def roman_numerals(
    value: Annotated[str, Doc("Number from 1 to 4999, or a Roman numeral", "MMXXV")],
) -> Answer:
    """A number as a Roman numeral, or a Roman numeral as a number."""
    try:
        if value.isdigit() and int(value) > 0:
            return {"number": int(value), "roman": roman.toRoman(int(value))}
        return {"number": roman.fromRoman(value.upper()), "roman": value.upper()}
    except roman.RomanError:
        raise wrong(f"value: '{value}' is neither 1 to 4999 nor a Roman numeral") from None


@facts_tool.get(
    "convertBase",
    "/base",
    samples=rows(
        "number from_base to_base",
        ("255", 10, 2),
        ("255", 10, 16),
        ("11111111", 2, 10),
        ("ff", 16, 10),
        ("2025", 10, 8),
        ("777", 8, 10),
        ("cafe", 16, 2),
    ),
    refused={400: rows("number from_base to_base", ("129", 2, 10), ("255", 10, 64))},
)
def convert_base(
    number: Annotated[str, Doc("The number, in digits and letters", "255")],
    from_base: Annotated[int, Doc("Base of the number", 10, low=2, high=36)],
    to_base: Annotated[int, Doc("Base of the answer", 2, low=2, high=36)],
) -> Answer:
    """A number in another base, from 2 to 36."""
    try:
        value = int(number, from_base)
    except ValueError:
        raise wrong(f"number: '{number}' is not a number in base {from_base}") from None
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    rest, result = abs(value), ""
    while rest or not result:
        rest, digit = divmod(rest, to_base)
        result = digits[digit] + result
    return {
        "number": number,
        "decimal": value,
        "base": to_base,
        "result": "-" * (value < 0) + result,
    }


@facts_tool.get(
    "gcd and lcm",
    "/gcdlcm",
    samples=rows("a b", (12, 18), (360, 2025), (17, 31), (1001, 91), (48, 180), (100, 75)),
    refused={400: [{"a": 12}]},
)
def gcd_and_lcm(
    a: Positive, b: Annotated[int, Doc("Another number", 2025, low=1, high=1e12)]
) -> Answer:
    """Greatest common divisor and least common multiple of two numbers."""
    return {"a": a, "b": b, "gcd": math.gcd(a, b), "lcm": math.lcm(a, b)}


statistics_tool = Tool(
    "Statistics Calculator",
    category=CATEGORY,
    collections=[CLASSROOM_HELPER],
    description="Averages and spread, regression lines, the normal distribution, and counting.",
    host="statistics-calculator",
)

Numbers = Annotated[list[float], Doc("The numbers", [2, 4, 4, 5, 7, 9])]
SERIES = [
    [2, 4, 4, 5, 7, 9],
    [12.5, 14.1, 13.8, 15.2, 12.9],
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    [88, 92, 79, 93, 85, 70, 96],
    [172, 165, 181, 169, 175, 178, 160, 172],
    [3, 3, 3, 3],
    [-4, 0, 4, 8, -8],
    [7, 15, 36, 39, 40, 41],
    [250000, 310000, 275000, 1200000, 295000],
    [0.31, 0.29, 0.35, 0.33],
]


def numbers_of(values: list[Any], least: int) -> list[float]:
    """Read a list of numbers.

    Raises:
        Refusal: 400 when there are fewer than the least, or one is no number.
    """
    if len(values) < least:
        raise wrong(f"At least {least} numbers are needed, got {len(values)}")
    try:
        return [float(value) for value in values]
    except (TypeError, ValueError):
        raise wrong("A list of numbers must hold nothing but numbers") from None


def tidy(value: float) -> float:
    """Return a value to six significant digits."""
    return float(f"{value:.6g}")


@statistics_tool.post(
    "Summary",
    "/summary",
    samples=every(numbers=SERIES),
    refused={400: [{"numbers": [1]}, {"numbers": [1, "two"]}, {}]},
)
def summary(numbers: Numbers) -> Answer:
    """Mean, median, mode, quartiles and standard deviation of numbers."""
    values = numbers_of(numbers, 2)
    modes = statistics.multimode(values)
    low, middle, high = statistics.quantiles(values, n=4)
    return {
        "count": len(values),
        "sum": tidy(math.fsum(values)),
        "mean": tidy(statistics.mean(values)),
        "median": tidy(middle),
        "modes": modes if len(modes) < len(values) else [],
        "lower_quartile": tidy(low),
        "upper_quartile": tidy(high),
        "minimum": min(values),
        "maximum": max(values),
        "standard_deviation": tidy(statistics.stdev(values)),
    }


@statistics_tool.post(
    "regression",
    "/regression",
    samples=rows(
        "x y",
        ([1, 2, 3, 4, 5], [2.1, 3.9, 6.2, 7.8, 10.1]),
        ([0, 10, 20, 30], [32, 50, 68, 86]),
        ([1, 2, 3, 4], [10, 8, 7, 3]),
        ([2, 4, 6, 8, 10], [65, 70, 72, 81, 88]),
        ([150, 160, 170, 180, 190], [52, 58, 66, 75, 83]),
        ([12, 15, 19, 22, 26, 30], [210, 260, 335, 380, 455, 520]),
        ([1, 2], [1, 3]),
        ([5, 6, 7, 8], [5, 5, 6, 4]),
        ([2019, 2020, 2021, 2022, 2023], [118, 97, 104, 131, 140]),
        ([0.5, 1, 1.5, 2], [4.9, 9.8, 14.7, 19.6]),
    ),
    refused={400: [*rows("x y", ([1, 2, 3], [1, 2]), ([1, 1], [2, 3])), {"x": [1, 2]}]},
)
def regression(
    x: Annotated[list[float], Doc("The numbers across", [1, 2, 3, 4, 5])],
    y: Annotated[list[float], Doc("The numbers upwards, as many", [2.1, 3.9, 6.2, 7.8, 10.1])],
) -> Answer:
    """The straight line that fits pairs of numbers best, and their correlation."""
    across, upwards = numbers_of(x, 2), numbers_of(y, 2)
    try:
        line = statistics.linear_regression(across, upwards)
        correlation = statistics.correlation(across, upwards)
    except statistics.StatisticsError as reason:
        raise wrong(str(reason)) from None
    return {
        "slope": tidy(line.slope),
        "intercept": tidy(line.intercept),
        "correlation": round(correlation, 4),
        "r_squared": round(correlation**2, 4),
    }


@statistics_tool.get(
    "Normal distribution",
    "/normal",
    samples=rows(
        "mean deviation value",
        (100, 15, 130),
        (100, 15, 85),
        (0, 1, 1.96),
        (0, 1, -1),
        (500, 100, 650),
        (178, 7, 190),
        (165, 6.5, 150),
        (3.5, 0.5, 2.5),
        (72, 8, 80),
        (1000, 4, 1005),
        (40, 12, 40),
    ),
    refused={400: [*rows("mean deviation value", (0, 0, 1)), {"mean": 0, "deviation": 1}]},
)
def normal_distribution(
    mean: Annotated[float, Doc("Mean", 100)],
    deviation: Annotated[float, Doc("Standard deviation", 15, low=1e-9)],
    value: Annotated[float, Doc("Where to cut the curve", 130)],
) -> Answer:
    """The share of a normal distribution below and above a value, and its z-score."""
    below = statistics.NormalDist(mean, deviation).cdf(value)
    return {
        "z_score": round((value - mean) / deviation, 4),
        "percent_below": round(100 * below, 2),
        "percent_above": round(100 * (1 - below), 2),
    }


@statistics_tool.get(
    "Combinations",
    "/choose",
    samples=rows(
        "n k",
        (49, 6),
        (52, 5),
        (10, 3),
        (5, 5),
        (20, 2),
        (8, 4),
        (30, 3),
        (12, 7),
        (26, 4),
        (6, 0),
        (50, 5),
        (11, 4),
    ),
    refused={400: rows("n k", (3, 5), (-1, 2), (1001, 2))},
)
def combinations(
    n: Annotated[int, Doc("Things to choose from", 49, low=0, high=1000)],
    k: Annotated[int, Doc("Things chosen", 6, low=0, high=1000)],
) -> Answer:
    """In how many ways k of n things can be chosen, without and with regard to their order."""
    if k > n:
        raise wrong(f"'k' must be at most n = {n}, got {k}")
    return {"n": n, "k": k, "combinations": math.comb(n, k), "permutations": math.perm(n, k)}
