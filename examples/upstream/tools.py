"""Tools: units of measurement, colours, and cron schedules."""

import datetime
from functools import cache
from typing import Annotated, Any

import cron_descriptor
import croniter
import pint
import webcolors

from .core import (
    CLASSROOM_HELPER,
    TRAVEL_PLANNER,
    Answer,
    Doc,
    Tool,
    every,
    listed,
    rows,
    unknown,
    wrong,
)
from .places import paged

CATEGORY = "Tools"

units_tool = Tool(
    "Unit Converter",
    category=CATEGORY,
    collections=[TRAVEL_PLANNER, CLASSROOM_HELPER],
    description="Converts between units of length, mass, temperature, speed, energy and more.",
    host="unit-converter",
)

UNITS = {
    "length": "meter kilometer centimeter millimeter mile yard foot inch nautical_mile light_year "
    "astronomical_unit parsec",
    "mass": "kilogram gram milligram tonne pound ounce stone carat",
    "temperature": "celsius fahrenheit kelvin",
    "volume": "liter milliliter cubic_meter gallon quart pint cup tablespoon teaspoon fluid_ounce",
    "area": "square_meter square_kilometer hectare acre square_mile square_foot",
    "speed": "meter_per_second kilometer_per_hour mile_per_hour knot speed_of_light",
    "time": "second minute hour day week year",
    "energy": "joule kilojoule calorie kilocalorie watt_hour kilowatt_hour electron_volt "
    "british_thermal_unit",
    "power": "watt kilowatt horsepower",
    "pressure": "pascal kilopascal bar atmosphere mmHg psi",
    "data": "bit byte kilobyte megabyte gigabyte kibibyte mebibyte gibibyte",
}
UnitName = Annotated[str, Doc("Name of the unit, such as mile", "mile", name="from")]
Quantity = Annotated[str, Doc("Kind of quantity", "length", choices=tuple(UNITS))]


@cache
def registry() -> Any:
    """Return the units that pint knows."""
    return pint.UnitRegistry()


def spelled(name: str) -> str:
    """Return one of our unit names as pint reads it."""
    for prefix, power in (("square_", "**2"), ("cubic_", "**3")):
        if name.startswith(prefix):
            return f"{name.removeprefix(prefix)}{power}"
    return name.replace("_per_", "/")


def unit_of(name: str) -> Any:
    """Return a unit."""
    tidy = name.strip().replace(" ", "_")
    try:
        return registry().Unit(spelled(tidy))
    except (pint.UndefinedUnitError, pint.DefinitionSyntaxError, ValueError, AttributeError):
        raise unknown(f"Unknown unit '{name}'") from None


def tidy(value: float) -> float:
    """Return a value to eight significant digits."""
    return float(f"{value:.8g}")


@units_tool.get(
    "Convert",
    "/convert",
    samples=rows(
        "value from to",
        (26.2, "mile", "kilometer"),
        (100, "kilometer", "mile"),
        (1, "mile", "kilometer"),
        (5, "foot", "centimeter"),
        (72, "fahrenheit", "celsius"),
        (37, "celsius", "fahrenheit"),
        (0, "kelvin", "celsius"),
        (150, "pound", "kilogram"),
        (70, "kilogram", "pound"),
        (1, "gallon", "liter"),
        (2, "cup", "milliliter"),
        (100, "kilometer_per_hour", "mile_per_hour"),
        (60, "mile_per_hour", "kilometer_per_hour"),
        (1, "hectare", "acre"),
        (500, "kilocalorie", "kilojoule"),
        (1, "light_year", "kilometer"),
        (1, "atmosphere", "psi"),
        (131, "foot", "meter"),
        (1, "gigabyte", "megabyte"),
        (100, "horsepower", "kilowatt"),
    ),
    refused={
        400: [
            *rows("value from to", ("ten", "mile", "kilometer"), (10, "mile", "kilogram")),
            {"value": 10, "from": "mile"},
        ],
        404: rows("value from to", (10, "furlongish", "meter")),
    },
)
def convert(
    value: Annotated[float, Doc("The value to convert", 26.2)],
    source: UnitName,
    target: Annotated[str, Doc("Name of the unit of the answer", "kilometer", name="to")],
) -> Answer:
    """Converts a value from one unit to another."""
    start, end = unit_of(source), unit_of(target)
    try:
        result = registry().Quantity(value, start).to(end).magnitude
    except pint.DimensionalityError:
        raise wrong(f"'from' and 'to' do not measure the same: {source}, {target}") from None
    return {"value": value, "from": source, "to": target, "result": tidy(result)}


@units_tool.get(
    "List units",
    "/units/{quantity}",
    samples=every(quantity=list(UNITS)),
    refused={400: [{"quantity": "beauty"}]},
)
def list_units(quantity: Quantity) -> Answer:
    """The names of the common units of a quantity."""
    return {"quantity": quantity, "units": UNITS[quantity].split()}


@units_tool.get(
    "About a unit",
    "/unit/{unit}",
    samples=every(unit=listed("mile foot pound knot joule horsepower acre light_year psi")),
    refused={404: [{"unit": "smoot2"}]},
)
def about_a_unit(unit: Annotated[str, Doc("Name of the unit", "mile")]) -> Answer:
    """Symbol, dimension and SI value of a unit."""
    found = unit_of(unit)
    base = registry().Quantity(1, found).to_base_units()
    return {
        "unit": unit,
        "symbol": f"{found:~}",
        "dimension": str(found.dimensionality),
        "si_value": tidy(base.magnitude),
        "si_unit": f"{base.units:~}",
    }


@units_tool.post(
    "convertMany",
    "/convert/many",
    samples=[
        {"values": [1, 5, 10, 42.195], "from": "kilometer", "to": "mile"},
        {"values": [0, 20, 37, 100], "from": "celsius", "to": "fahrenheit"},
        {"values": [1, 2, 3], "from": "pound", "to": "gram"},
        {"values": [8, 26.2], "from": "mile", "to": "kilometer"},
    ],
    refused={
        400: [
            {"values": ["a", 2], "from": "mile", "to": "meter"},
            {"values": 12, "from": "mile", "to": "meter"},
            {"from": "mile", "to": "meter"},
        ]
    },
)
def convert_many(
    values: Annotated[list[float], Doc("Values to convert", [1, 5, 10])],
    source: UnitName,
    target: Annotated[str, Doc("Name of the unit of the answer", "kilometer", name="to")],
) -> Answer:
    """Converts a list of values at once. Write it as {"values": [1, 2], "from": …, "to": …}."""
    start, end = unit_of(source), unit_of(target)
    if not all(isinstance(value, (int, float)) for value in values):
        raise wrong("'values' must hold numbers only")
    if not start.is_compatible_with(end):
        raise wrong(f"'from' and 'to' do not measure the same: {source}, {target}")
    results = [tidy(registry().Quantity(value, start).to(end).magnitude) for value in values]
    return {"from": source, "to": target, "results": results}


colors_tool = Tool(
    "Color Names",
    category=CATEGORY,
    collections=[CLASSROOM_HELPER],
    description="CSS colour names, hex codes and contrast.",
    host="color-names",
    error_key="error",
)

HexCode = Annotated[str, Doc("Colour as #rrggbb, the # may be left out", "daa520")]


def rgb_of(code: str) -> tuple[int, int, int]:
    """Return a colour's red, green and blue by hex code or CSS name."""
    try:
        if code.isalpha() and code.lower() in webcolors.names("css3"):
            return tuple(webcolors.name_to_rgb(code))
        return tuple(webcolors.hex_to_rgb("#" + code.lstrip("#")))
    except ValueError:
        raise wrong(f"'{code}' is neither a CSS colour name nor a hex code") from None


@colors_tool.get(
    "Color by name",
    "/name/{name}",
    samples=every(
        name=listed("gold goldenrod tomato teal navy crimson salmon orchid Lavender black")
    ),
    refused={404: every(name=["bluish", "ultraviolet"])},
)
def color_by_name(name: Annotated[str, Doc("CSS colour name", "goldenrod")]) -> Answer:
    """Hex code and RGB values of a CSS colour name."""
    try:
        red, green, blue = webcolors.name_to_rgb(name)
    except ValueError:
        raise unknown(f"No CSS colour is called '{name}'") from None
    return {
        "name": name.lower(),
        "hex": webcolors.rgb_to_hex((red, green, blue)),
        "red": red,
        "green": green,
        "blue": blue,
    }


@colors_tool.get(
    "nearestName",
    "/nearest/{hex}",
    samples=every(hex=listed("daa521 ff6600 123456 00ff7f c0ffee 7f7f7f 4169e2 8b4513")),
    refused={400: every(hex=["zzzzzz", "12345"])},
)
def nearest_name(code: Annotated[str, Doc("Colour as rrggbb", "daa521", name="hex")]) -> Answer:
    """The CSS colour name nearest to a hex code, by distance in RGB."""
    wanted = rgb_of(code)

    def distance(name: str) -> int:
        return sum((a - b) ** 2 for a, b in zip(webcolors.name_to_rgb(name), wanted, strict=True))

    nearest = min(sorted(webcolors.names("css3")), key=distance)
    return {
        "hex": "#" + code.lstrip("#").lower(),
        "name": nearest,
        "name_hex": webcolors.name_to_hex(nearest),
        "exact": distance(nearest) == 0,
    }


@colors_tool.get(
    "Contrast",
    "/contrast",
    samples=rows(
        "foreground background",
        ("black", "white"),
        ("white", "navy"),
        ("gold", "white"),
        ("777777", "ffffff"),
        ("tomato", "black"),
        ("teal", "white"),
        ("daa520", "123456"),
    ),
    refused={400: [*rows("foreground background", ("bluish", "white")), {"foreground": "black"}]},
)
def contrast(
    foreground: Annotated[str, Doc("Colour name or hex code", "black")],
    background: Annotated[str, Doc("Colour name or hex code", "white")],
) -> Answer:
    """Contrast ratio of two colours by WCAG 2, and whether text in them can be read."""
    lights = sorted((luminance(rgb_of(color)) for color in (foreground, background)), reverse=True)
    ratio = (lights[0] + 0.05) / (lights[1] + 0.05)
    return {
        "foreground": foreground,
        "background": background,
        "ratio": round(ratio, 2),
        "aa_normal_text": ratio >= 4.5,
        "aa_large_text": ratio >= 3,
        "aaa_normal_text": ratio >= 7,
    }


def luminance(rgb: tuple[int, int, int]) -> float:
    """Return a colour's relative luminance by WCAG 2."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in rgb)
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@colors_tool.get(
    "List of color names",
    "/names",
    samples=[{}, {"offset": 20}, {"offset": 140}, *every(contains=["blue", "green", "dark"])],
    refused={400: [{"limit": 0}]},
)
def list_of_color_names(
    contains: Annotated[str, Doc("Only names that contain this")] = "",
    offset: Annotated[int, Doc("First name of the page", low=0)] = 0,
    limit: Annotated[int, Doc("Names per page", low=1, high=50)] = 20,
) -> Answer:
    """The CSS colour names in alphabetical order, a page at a time; optionally filtered."""
    return paged([n for n in sorted(webcolors.names("css3")) if contains in n], offset, limit)


cron_tool = Tool(
    "Cron Explainer",
    category=CATEGORY,
    description="Explains cron schedules in English and computes when they run.",
    host="cron-explainer",
    error_key="detail",
)

SCHEDULES = [
    "*/15 9-17 * * 1-5",
    "0 0 1 * *",
    "30 6 * * *",
    "0 12 * * 0",
    "5 4 24 12 *",
    "0 */2 * * *",
    "0 9 * * 1",
]
Schedule = Annotated[str, Doc("Cron schedule of five fields", SCHEDULES[0])]


def valid_schedule(text: str) -> str:
    """Return a schedule that can be computed with."""
    if len(text.split()) != 5 or not croniter.croniter.is_valid(text):
        raise wrong(f"expression: '{text}' is not a cron schedule of five fields")
    return text


@cron_tool.get(
    "Explain",
    "/explain",
    samples=every(expression=SCHEDULES),
    refused={400: [{"expression": "every day"}, {"expression": "61 * * * *"}, {}]},
)
def explain(expression: Schedule) -> Answer:
    """What a cron schedule means, in an English sentence."""
    return {
        "expression": expression,
        "description": cron_descriptor.get_description(valid_schedule(expression)),
    }


@cron_tool.get(
    "Next runs",
    "/next",
    samples=[
        *every(expression=SCHEDULES, after=["2025-06-21T18:00"]),
        {"expression": SCHEDULES[1], "after": "2025-12-24T00:00", "count": 2},
    ],
    refused={400: [{"expression": SCHEDULES[0], "after": "now"}, {"after": "2025-06-21T18:00"}]},
)
def next_runs(
    expression: Schedule,
    after: Annotated[str, Doc("Moment as YYYY-MM-DDTHH:MM", "2025-06-21T18:00")],
    count: Annotated[int, Doc("How many runs", low=1, high=20)] = 5,
) -> Answer:
    """The next times a cron schedule runs after a moment."""
    try:
        start = datetime.datetime.fromisoformat(after).replace(tzinfo=None)
    except ValueError:
        raise wrong(f"'after' must be like 2025-06-21T18:00, got '{after}'") from None
    runs = croniter.croniter(valid_schedule(expression), start)
    times = [runs.get_next(datetime.datetime) for _ in range(count)]
    return {
        "expression": expression,
        "after": after,
        "runs": [f"{time:%Y-%m-%dT%H:%M}" for time in times],
    }
