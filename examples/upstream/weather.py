"""Weather: the sun's and the moon's times, and the formulas of meteorology."""

import datetime
import math
from collections.abc import Callable
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

import astral.sun
import ephem

from .core import (
    CLASSROOM_HELPER,
    SKY_AND_SPACE,
    TRAVEL_PLANNER,
    Answer,
    Doc,
    Raw,
    Tool,
    every,
    listed,
    rows,
    wrong,
)
from .places import place, point
from .sky import minute, observer_at, time_of

CATEGORY = "Weather"

CITIES = ["Tallinn", "Paris", "London", "New York City", "Tokyo", "Sydney", "Reykjavík"]
DATES = ["2025-06-21", "2025-12-24"]

Latitude = Annotated[float, Doc("Latitude in degrees, north positive", 59.43696, low=-90, high=90)]
Longitude = Annotated[
    float, Doc("Longitude in degrees, east positive", 24.75353, low=-180, high=180)
]
Date = Annotated[datetime.date, Doc("Date as YYYY-MM-DD", "2025-06-21")]
ZoneName = Annotated[str, Doc("IANA time zone of the answer", "Europe/Tallinn")]


def sky_sample(name: str, date: str) -> dict[str, Any]:
    """Return a city's place, zone and a date as the arguments of a sample call."""
    return {**point(name), "date": date, "timezone": place(name)["timezone"]}


SKY_SAMPLES = [sky_sample(name, date) for name in CITIES for date in DATES]


def zone_named(name: str) -> ZoneInfo:
    """Return a time zone."""
    if name not in available_timezones():
        raise wrong(f"'timezone' is not known: {name}")
    return ZoneInfo(name)


def hour(moment: datetime.datetime | None) -> str | None:
    """Return a moment as hours and minutes, rounded to the nearest minute."""
    return (moment + datetime.timedelta(seconds=30)).strftime("%H:%M") if moment else None


sun_tool = Tool(
    "Sunrise and Sunset",
    category=CATEGORY,
    collections=[TRAVEL_PLANNER, SKY_AND_SPACE],
    description="Sunrise, sunset, twilight and the sun's position for any place and date.",
    host="sunrise-and-sunset",
)


def sun_time(
    event: Callable[..., datetime.datetime],
    observer: astral.Observer,
    date: datetime.date,
    zone: ZoneInfo,
) -> datetime.datetime | None:
    """Return when something happens on the local date, or None when it does not."""
    try:
        return event(observer, date=date, tzinfo=zone)
    except ValueError:
        return None


@sun_tool.get(
    "Sun times",
    "/sun",
    samples=[
        *SKY_SAMPLES,
        sky_sample("Cape Town", DATES[0]),
        *rows("latitude longitude date timezone", (69.6489, 18.95508, "2025-06-21", "Europe/Oslo")),
    ],
    refused={
        400: [
            {**point("Tallinn"), "timezone": "Europe/Tallinn"},
            {**sky_sample("Paris", DATES[0]), "timezone": "Paris"},
            {"latitude": "north", "longitude": 24.7, "date": DATES[0], "timezone": "UTC"},
        ]
    },
)
def sun_times(
    latitude: Latitude, longitude: Longitude, date: Date, timezone: ZoneName = "UTC"
) -> Answer:
    """Sunrise, solar noon, sunset and civil twilight in local time.

    Times that do not occur, as in polar summer, are null.
    """
    observer, zone = astral.Observer(latitude, longitude), zone_named(timezone)
    events: dict[str, Callable[..., datetime.datetime]] = {
        "dawn": astral.sun.dawn,
        "sunrise": astral.sun.sunrise,
        "solar_noon": astral.sun.noon,
        "sunset": astral.sun.sunset,
        "dusk": astral.sun.dusk,
    }
    times = {name: hour(sun_time(event, observer, date, zone)) for name, event in events.items()}
    return {"date": str(date), "timezone": timezone, **times}


@sun_tool.get(
    "Day length",
    "/daylength",
    samples=[{**point(name), "date": date} for name in CITIES[:5] for date in DATES],
    refused={400: [{**point("Tallinn"), "date": "midsummer"}]},
)
def day_length(latitude: Latitude, longitude: Longitude, date: Date) -> Answer:
    """Time between sunrise and sunset, and how much longer the day is than the day before."""
    observer = astral.Observer(latitude, longitude)
    today = daylight_seconds(observer, date)
    yesterday = daylight_seconds(observer, date - datetime.timedelta(days=1))
    minutes = round(today / 60)
    return {
        "date": str(date),
        "day_length": f"{minutes // 60} h {minutes % 60} min",
        "hours": round(today / 3600, 2),
        "change_minutes": round((today - yesterday) / 60, 1),
    }


def daylight_seconds(observer: astral.Observer, date: datetime.date) -> float:
    """Return how long the sun is up; all day or not at all around the poles."""
    try:
        start, end = astral.sun.daylight(observer, date=date)
    except ValueError:
        noon = astral.sun.noon(observer, date=date)
        return 86400.0 if astral.sun.elevation(observer, noon) > 0 else 0.0
    return (end - start).total_seconds() % 86400


@sun_tool.get(
    "Solar position",
    "/position",
    samples=[
        {**point(name), "utc": utc}
        for name in CITIES[:4]
        for utc in ("2025-06-21T12:00", "2025-12-24T09:30")
    ],
    refused={400: [{**point("Tallinn"), "utc": "noon"}]},
)
def solar_position(
    latitude: Latitude,
    longitude: Longitude,
    utc: Annotated[str, Doc("Moment in UTC, YYYY-MM-DDTHH:MM", "2025-06-21T12:00")],
) -> Answer:
    """Height and direction of the sun at a moment."""
    moment = utc_moment(utc)
    observer = astral.Observer(latitude, longitude)
    return {
        "utc": utc,
        "elevation_deg": round(astral.sun.elevation(observer, moment), 2),
        "azimuth_deg": round(astral.sun.azimuth(observer, moment), 2),
    }


def utc_moment(text: str) -> datetime.datetime:
    """Read a moment in UTC."""
    try:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)
    except ValueError:
        raise wrong(f"'utc' must be like 2025-06-21T12:00, got '{text}'") from None


@sun_tool.get(
    "goldenHour",
    "/golden",
    samples=SKY_SAMPLES[:10],
    refused={400: [{**point("Paris")}]},
)
def golden_hour(
    latitude: Latitude, longitude: Longitude, date: Date, timezone: ZoneName = "UTC"
) -> Answer:
    """When the light is best for photographs: morning and evening golden hour in local time."""
    observer, zone = astral.Observer(latitude, longitude), zone_named(timezone)
    times: dict[str, Any] = {}
    for name, direction in [
        ("morning", astral.SunDirection.RISING),
        ("evening", astral.SunDirection.SETTING),
    ]:
        try:
            start, end = astral.sun.golden_hour(observer, date, direction, tzinfo=zone)
            times[name] = {"from": hour(start), "to": hour(end)}
        except ValueError:
            times[name] = None
    return {"date": str(date), "timezone": timezone, **times}


moon_tool = Tool(
    "Moon Phase",
    category=CATEGORY,
    collections=[SKY_AND_SPACE],
    description="Phases of the moon, and when it rises and sets.",
    host="moon-phase",
    error_key="error",
)

QUARTERS = ("New Moon", "First Quarter", "Full Moon", "Last Quarter")
BETWEEN = ("Waxing Crescent", "Waxing Gibbous", "Waning Gibbous", "Waning Crescent")
HALF_DAY = 6.1
"""How far the moon gets from the sun in half a day, in degrees."""


def phase_name(elongation: float) -> str:
    """Return the phase at noon of a day: the quarters last one day, the others a week."""
    nearest = round(elongation / 90)
    if abs(elongation - 90 * nearest) < HALF_DAY:
        return QUARTERS[nearest % 4]
    return BETWEEN[int(elongation // 90)]


@moon_tool.get(
    "Phase on date",
    "/phase",
    samples=every(
        date=listed(
            "2025-01-01 2025-03-14 2025-06-11 2025-06-21 2025-06-25 2025-09-07 2025-12-24 "
            "1969-07-20 2026-08-12"
        )
    ),
    refused={400: [{}, {"date": "2025-02-30"}]},
)
def phase_on_date(date: Date) -> Answer:
    """Name, illumination and age of the moon at noon UTC of a date."""
    noon = ephem.Date(f"{date} 12:00")
    moon = ephem.Moon(noon)
    sun = ephem.Sun(noon)
    elongation = math.degrees(ephem.Ecliptic(moon).lon - ephem.Ecliptic(sun).lon) % 360
    return {
        "date": str(date),
        "phase": phase_name(elongation),
        "illumination_percent": round(moon.phase, 1),
        "age_days": round(noon - ephem.previous_new_moon(noon), 1),
        "distance_km": round(moon.earth_distance * ephem.meters_per_au / 1000),
    }


@moon_tool.get(
    "Next phases",
    "/next",
    samples=every(date=listed("2025-01-01 2025-03-01 2025-06-21 2025-09-01 2025-12-24")),
    refused={400: [{"date": "soon"}]},
)
def next_phases(date: Date) -> Answer:
    """The next new moon, quarters and full moon after a date, in UTC."""
    start = ephem.Date(str(date))
    events = {
        "new_moon": ephem.next_new_moon,
        "first_quarter": ephem.next_first_quarter_moon,
        "full_moon": ephem.next_full_moon,
        "last_quarter": ephem.next_last_quarter_moon,
    }
    return {"after": str(date)} | {name: minute(event(start)) for name, event in events.items()}


@moon_tool.get(
    "Moonrise and moonset",
    "/rise",
    samples=[{**point(name), "date": date} for name in CITIES[:6] for date in DATES],
    refused={400: [{"date": "2025-06-21"}]},
)
def moonrise_and_moonset(latitude: Latitude, longitude: Longitude, date: Date) -> Answer:
    """The first moonrise and moonset at a place from a date on, in UTC."""
    observer = observer_at(latitude, longitude, ephem.Date(str(date)))
    return {
        "date": str(date),
        "rise": time_of(observer.next_rising, ephem.Moon()),
        "set": time_of(observer.next_setting, ephem.Moon()),
    }


formulas_tool = Tool(
    "Weather Formulas",
    category=CATEGORY,
    collections=[CLASSROOM_HELPER],
    description="Dew point, wind chill, heat index and the Beaufort scale.",
    host="weather-formulas",
    error_key="detail",
)

Celsius = Annotated[float, Doc("Air temperature in °C", 20, low=-90, high=60)]
Humidity = Annotated[float, Doc("Relative humidity in percent", 60, low=1, high=100)]
Wind = Annotated[float, Doc("Wind speed in km/h", 30, low=0, high=400)]


@formulas_tool.get(
    "Dew point",
    "/dewpoint",
    samples=rows("temperature humidity", (20, 60), (25, 40), (30, 80), (5, 95), (-5, 70), (15, 50)),
    refused={400: [{"temperature": 20}, {"temperature": 20, "humidity": 140}]},
)
def dew_point(temperature: Celsius, humidity: Humidity) -> Answer:
    """Dew point by the Magnus formula (a = 17.625, b = 243.04 °C)."""
    gamma = math.log(humidity / 100) + 17.625 * temperature / (243.04 + temperature)
    return {"dew_point_c": round(243.04 * gamma / (17.625 - gamma), 1)}


@formulas_tool.get(
    "Wind chill",
    "/windchill",
    samples=rows(
        "temperature wind_speed", (-10, 30), (0, 20), (5, 50), (-25, 15), (20, 30), (-5, 3)
    ),
    refused={400: [{"temperature": "cold", "wind_speed": 30}]},
)
def wind_chill(temperature: Celsius, wind_speed: Wind) -> Answer:
    """Wind chill by the formula of Environment Canada and the US weather service (2001).

    Null outside its range: above 10 °C or below 4.8 km/h.
    """
    if temperature > 10 or wind_speed < 4.8:
        return {"wind_chill_c": None, "note": "Defined up to 10 °C and from 4.8 km/h"}
    power = wind_speed**0.16
    chill = 13.12 + 0.6215 * temperature - 11.37 * power + 0.3965 * temperature * power
    return {"wind_chill_c": round(chill, 1), "note": None}


@formulas_tool.get(
    "heatIndex",
    "/heatindex",
    samples=rows("temperature humidity", (32, 70), (35, 50), (28, 80), (40, 30), (20, 60)),
    refused={400: [{"humidity": 70}]},
)
def heat_index(temperature: Celsius, humidity: Humidity) -> Answer:
    """Heat index by the regression of Rothfusz that the US weather service uses.

    Null below 27 °C.
    """
    if temperature < 27:
        return {"heat_index_c": None, "heat_index_f": None}
    t, r = temperature * 9 / 5 + 32, humidity
    index = (
        -42.379
        + 2.04901523 * t
        + 10.14333127 * r
        - 0.22475541 * t * r
        - 0.00683783 * t * t
        - 0.05481717 * r * r
        + 0.00122874 * t * t * r
        + 0.00085282 * t * r * r
        - 0.00000199 * t * t * r * r
    )
    if r < 13 and 80 <= t <= 112:
        index -= (13 - r) / 4 * math.sqrt((17 - abs(t - 95)) / 17)
    if r > 85 and 80 <= t <= 87:
        index += (r - 85) / 10 * (87 - t) / 5
    return {"heat_index_c": round((index - 32) * 5 / 9, 1), "heat_index_f": round(index, 1)}


BEAUFORT = [
    (1, "Calm"),
    (6, "Light air"),
    (12, "Light breeze"),
    (20, "Gentle breeze"),
    (29, "Moderate breeze"),
    (39, "Fresh breeze"),
    (50, "Strong breeze"),
    (62, "Near gale"),
    (75, "Gale"),
    (89, "Strong gale"),
    (103, "Storm"),
    (118, "Violent storm"),
    (math.inf, "Hurricane force"),
]


@formulas_tool.get(
    "Beaufort scale",
    "/beaufort",
    samples=every(wind_speed=[0, 4, 15, 30, 45, 65, 80, 100, 150]),
    refused={400: [{"wind_speed": -5}, {"wind_speed": "storm"}]},
)
def beaufort_scale(wind_speed: Wind) -> Answer:
    """The Beaufort number and name of a wind speed."""
    number = next(n for n, (limit, _) in enumerate(BEAUFORT) if wind_speed < limit)
    return {"wind_speed_kmh": wind_speed, "beaufort": number, "name": BEAUFORT[number][1]}


@formulas_tool.get(
    "Current conditions",
    "/current",
    samples=[point("Tallinn")],
    worthless="six seconds for an answer without data",
)
def current_conditions(latitude: Latitude, longitude: Longitude) -> Answer:
    """Current temperature, humidity and wind at a place."""
    return Raw('{"status": "ok", "data": []}', "application/json", delay=6.0)
