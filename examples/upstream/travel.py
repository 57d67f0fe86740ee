"""Travel: public holidays, airports, time zones, and a flight tool that never works."""

import datetime
from functools import cache
from importlib.resources import files
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

import airportsdata
import holidays
import pycountry
from geographiclib.geodesic import Geodesic

from .core import (
    GLOBAL_COMMERCE,
    SKY_AND_SPACE,
    TRAVEL_PLANNER,
    Answer,
    Doc,
    Raw,
    Tool,
    every,
    listed,
    rows,
    unknown,
    wrong,
)
from .places import paged

CATEGORY = "Travel"

HOLIDAY_COUNTRIES = listed("EE FR DE US JP GB IT ES BR IN SE FI PL CA AU MX")

Country = Annotated[str, Doc("Two-letter ISO 3166-1 country code", "EE")]
Year = Annotated[int, Doc("Four-digit year", 2025, low=1950, high=2100)]

holidays_tool = Tool(
    "Public Holidays",
    category=CATEGORY,
    collections=[TRAVEL_PLANNER, GLOBAL_COMMERCE],
    description="Public holidays of more than 200 countries and their regions, for any year.",
    host="public-holidays",
)


def public_holidays(country: str, year: int, region: str | None = None) -> holidays.HolidayBase:
    """Return a country's holidays in a year, named in English where the library can."""
    code = country.upper()
    supported = holidays.list_supported_countries(include_aliases=False)
    if code not in supported:
        raise unknown(f"No holidays are known for country '{country}'")
    if region and region not in supported[code]:
        raise unknown(f"Country '{code}' has no region '{region}'")
    languages = holidays.list_localized_countries(include_aliases=False).get(code, [])
    language = next((name for name in ("en_US", "en_GB", "en") if name in languages), None)
    return holidays.country_holidays(code, subdiv=region, years=year, language=language)


@holidays_tool.get(
    "Holidays of a year",
    "/v1/holidays/{country}/{year}",
    samples=every(country=HOLIDAY_COUNTRIES, year=[2025])
    + every(country=listed("EE FR DE US JP"), year=[2024, 2026])
    + rows("country year region", ("DE", 2025, "BY"), ("US", 2025, "CA"), ("CA", 2025, "QC")),
    refused={
        404: rows("country year", ("XX", 2025), ("Estonia", 2025)),
        400: rows("country year", ("EE", "next year"), ("FR", 20250)),
    },
)
def holidays_of_a_year(
    country: Country,
    year: Year,
    region: Annotated[str | None, Doc("State or province code, such as BY for Bavaria")] = None,
) -> Answer:
    """All public holidays of a country in one year, with English names.

    Give a region for the holidays of a state or province.
    """
    found = public_holidays(country, year, region)
    return {
        "country": country.upper(),
        "year": year,
        "count": len(found),
        "holidays": [{"date": str(day), "name": found[day]} for day in sorted(found)],
    }


@holidays_tool.get(
    "Is it a holiday",
    "/v1/isholiday",
    samples=every(country=listed("EE US DE"), date=["2025-06-24", "2025-12-25"])
    + rows("country date", ("FR", "2025-07-14"), ("US", "2025-07-04"), ("JP", "2025-05-05")),
    refused={
        400: [{"country": "EE"}, {"country": "EE", "date": "24.06.2025"}],
        404: rows("country date", ("ZZ", "2025-12-25")),
    },
)
def is_it_a_holiday(
    country: Country,
    date: Annotated[datetime.date, Doc("Date as YYYY-MM-DD", "2025-06-24")],
) -> Answer:
    """Tells whether a date is a public holiday in a country, and which one."""
    found = public_holidays(country, date.year)
    return {
        "country": country.upper(),
        "date": str(date),
        "weekday": date.strftime("%A"),
        "is_holiday": date in found,
        "name": found.get(date),
    }


@holidays_tool.get(
    "Next holiday",
    "/v1/next/{country}",
    samples=[
        *every(country=listed("EE FR US JP"), after=["2025-03-01", "2025-08-15"]),
        {"country": "GB", "after": "2025-05-01", "count": 3},
    ],
    refused={400: [{"country": "FR"}], 404: [{"country": "QQ", "after": "2025-03-01"}]},
)
def next_holiday(
    country: Country,
    after: Annotated[datetime.date, Doc("Date as YYYY-MM-DD", "2025-03-01")],
    count: Annotated[int, Doc("How many holidays", low=1, high=10)] = 1,
) -> Answer:
    """The first public holidays of a country after a date."""
    days = [*public_holidays(country, after.year).items()]
    days += public_holidays(country, after.year + 1).items()
    coming = sorted(day for day in days if day[0] > after)[:count]
    return {
        "country": country.upper(),
        "after": str(after),
        "holidays": [
            {"date": str(day), "weekday": day.strftime("%A"), "name": name, "in_days": wait.days}
            for day, name in coming
            for wait in [day - after]
        ],
    }


@holidays_tool.get(
    "Long weekends",
    "/v1/longweekends/{country}/{year}",
    samples=every(country=listed("EE FR US GB DE PL"), year=[2025]),
    refused={404: [{"country": "Atlantis", "year": 2025}]},
)
def long_weekends(country: Country, year: Year) -> Answer:
    """Runs of three or more free days in a row.

    Free are Saturdays, Sundays and public holidays.


    """
    found = public_holidays(country, year)
    start = datetime.date(year, 1, 1)
    days = [start + datetime.timedelta(days=n) for n in range(366)]
    runs: list[list[datetime.date]] = [[]]
    for day in (day for day in days if day.year == year):
        if day.weekday() >= 5 or day in found:
            runs[-1].append(day)
        elif runs[-1]:
            runs.append([])
    long = [run for run in runs if len(run) >= 3]
    return {
        "country": country.upper(),
        "year": year,
        "long_weekends": [
            {"from": str(run[0]), "to": str(run[-1]), "days": len(run)} for run in long
        ],
    }


@holidays_tool.get(
    "List of supported countries",
    "/v1/countries",
    samples=[{}, *rows("offset limit", (20, 20), (100, 10), (0, 5))],
    refused={400: [{"limit": 5000}, {"offset": "second"}]},
)
def list_of_supported_countries(
    offset: Annotated[int, Doc("First item of the page", low=0)] = 0,
    limit: Annotated[int, Doc("Items per page", low=1, high=50)] = 10,
) -> Answer:
    """The countries with known holidays, a page at a time."""
    codes = sorted(holidays.list_supported_countries(include_aliases=False))
    named = [
        {"code": code, "name": country.name}
        for code in codes
        if (country := pycountry.countries.get(alpha_2=code))
    ]
    return paged(named, offset, limit)


airports_tool = Tool(
    "Airports Database",
    category=CATEGORY,
    collections=[TRAVEL_PLANNER],
    description="Airports of the world by IATA code, name or country, and distances between them.",
    host="airports-database",
    error_key="error",
)


@cache
def airports() -> dict[str, Any]:
    """Return the airports by IATA code, sorted."""
    return dict(sorted(airportsdata.load("IATA").items()))


def airport(code: str) -> dict[str, Any]:
    """Return an airport's card."""
    found = airports().get(code.upper())
    if found is None:
        raise unknown(f"Airport not found: {code}")
    return {
        "iata": found["iata"],
        "icao": found["icao"],
        "name": found["name"],
        "city": found["city"],
        "region": found["subd"],
        "country": found["country"],
        "latitude": found["lat"],
        "longitude": found["lon"],
        "elevation_ft": found["elevation"],
        "timezone": found["tz"],
    }


AIRPORTS = listed("TLL HEL CDG LHR JFK HND SIN SYD KEF GRU CPT LAX FRA DXB")


@airports_tool.get(
    "GET /airports/{iata}",
    "/airports/{iata}",
    samples=every(iata=AIRPORTS),
    refused={404: every(iata=["QQQ", "TALLINN"])},
)
def get_airport(iata: Annotated[str, Doc("Three-letter IATA code", "TLL")]) -> Answer:
    """An airport by its three-letter IATA code: name, city, coordinates, elevation, time zone."""
    return airport(iata)


@airports_tool.get(
    "searchAirports",
    "/airports/search",
    samples=[
        *every(
            q=["Tallinn", "Paris", "London", "Tokyo", "New York", "Reykjavik", "Berlin", "Lisbon"]
        ),
        {"q": "London", "country": "CA"},
        {"q": "Xyzzy"},
    ],
    refused={400: [{}, {"country": "GB"}]},
)
def search_airports(
    q: Annotated[str, Doc("Part of the airport's name or city", "Paris")],
    country: Annotated[str | None, Doc("Only this country (ISO code)")] = None,
) -> Answer:
    """Airports whose name or city contains a text."""
    wanted = q.lower()
    found = [
        {key: one[key] for key in ("iata", "name", "city", "country")}
        for one in airports().values()
        if wanted in f"{one['name']}|{one['city']}".lower() and country in (None, one["country"])
    ]
    return {"query": q, "count": len(found), "airports": found[:8]}


@airports_tool.get(
    "Airports by country",
    "/countries/{country}/airports",
    samples=every(country=listed("EE FI IS PT")) + every(country=["FR", "US", "JP"], page=[1, 2]),
    refused={404: [{"country": "XX"}], 400: [{"country": "FR", "page": 0}]},
)
def airports_by_country(
    country: Annotated[str, Doc("ISO country code", "EE")],
    page: Annotated[int, Doc("Page number, from 1", low=1, high=1000)] = 1,
) -> Answer:
    """The airports of a country in the order of their codes, ten to a page."""
    found = [one for one in airports().values() if one["country"] == country.upper()]
    if not found:
        raise unknown(f"No airports in country: {country}")
    return {
        "country": country.upper(),
        "total": len(found),
        "page": page,
        "pages": (len(found) + 9) // 10,
        "airports": [
            {"iata": one["iata"], "name": one["name"], "city": one["city"]}
            for one in found[10 * page - 10 : 10 * page]
        ],
    }


@airports_tool.get(
    "Distance between airports",
    "/airports/distance",
    samples=rows(
        "from to",
        ("TLL", "HEL"),
        ("TLL", "CDG"),
        ("TLL", "LHR"),
        ("LHR", "JFK"),
        ("CDG", "HND"),
        ("SIN", "SYD"),
        ("KEF", "JFK"),
        ("LAX", "HND"),
        ("FRA", "GRU"),
        ("DXB", "CPT"),
    ),
    refused={404: [{"from": "TLL", "to": "XXX"}], 400: [{"from": "TLL"}]},
)
def distance_between_airports(
    start: Annotated[str, Doc("IATA code of the departure", "TLL", name="from")],
    end: Annotated[str, Doc("IATA code of the arrival", "CDG", name="to")],
) -> Answer:
    """The length of the shortest path over the WGS-84 ellipsoid between two airports."""
    one, other = airport(start), airport(end)
    metres = Geodesic.WGS84.Inverse(
        one["latitude"], one["longitude"], other["latitude"], other["longitude"]
    )["s12"]
    return {
        "from": one["iata"],
        "to": other["iata"],
        "distance_km": round(metres / 1000, 1),
        "distance_miles": round(metres / 1609.344, 1),
        "distance_nm": round(metres / 1852, 1),
    }


@airports_tool.get(
    "Test endpoint",
    "/test",
    samples=[{}],
    worthless="a greeting in HTML instead of data",
)
def test_endpoint() -> Answer:
    """Test that your key works."""
    return Raw("<html><body><h1>Hello World</h1></body></html>\n", "text/html")


clock_tool = Tool(
    "World Clock",
    category=CATEGORY,
    collections=[TRAVEL_PLANNER, SKY_AND_SPACE],
    description="Time zones of the world with their offsets and daylight saving, on any date.",
    host="world-clock",
    error_key="detail",
)

ZONES = listed(
    "Europe/Tallinn Europe/Paris Europe/London America/New_York Asia/Tokyo Australia/Sydney "
    "Asia/Kolkata America/Los_Angeles Atlantic/Reykjavik"
)
Zone = Annotated[str, Doc("IANA time zone name", "Europe/Tallinn")]


def zone_at(name: str, local: datetime.datetime) -> datetime.datetime:
    """Put a local time into a zone."""
    if name not in available_timezones():
        raise unknown(f"Unknown time zone: {name}")
    return local.replace(tzinfo=ZoneInfo(name))


def read_time(text: str, name: str) -> datetime.datetime:
    """Read a local time."""
    try:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        raise wrong(f"'{name}' must be like 2025-06-21T18:00, got '{text}'") from None


def clock_face(moment: datetime.datetime) -> dict[str, Any]:
    """Return what a clock in the moment's zone shows."""
    return {
        "timezone": str(moment.tzinfo),
        "local_time": moment.strftime("%Y-%m-%dT%H:%M"),
        "weekday": moment.strftime("%A"),
        "utc_offset": f"{moment:%z}"[:3] + ":" + f"{moment:%z}"[3:5],
        "abbreviation": moment.tzname(),
        "daylight_saving": bool(moment.dst()),
    }


@clock_tool.get(
    "Time zone details",
    "/timezone",
    samples=every(zone=ZONES, date=["2025-06-21"]) + every(zone=ZONES[:4], date=["2025-12-24"]),
    refused={
        404: every(zone=["Europe/Tartu", "Mars/Olympus"], date=["2025-06-21"]),
        400: [{"zone": "Europe/Paris"}],
    },
)
def time_zone_details(
    zone: Zone, date: Annotated[datetime.date, Doc("Date as YYYY-MM-DD", "2025-06-21")]
) -> Answer:
    """Offset from UTC, abbreviation and daylight saving of a time zone on a date (at noon)."""
    noon = datetime.datetime.combine(date, datetime.time(12))
    return clock_face(zone_at(zone, noon))


@clock_tool.get(
    "Convert time",
    "/convert",
    samples=every(
        time=["2025-06-21T18:00"],
        from_zone=["Europe/Tallinn", "America/New_York"],
        to_zone=["Asia/Tokyo", "Europe/London", "Australia/Sydney", "America/Los_Angeles"],
    )
    + rows(
        "time from_zone to_zone",
        ("2025-12-24T09:00", "Europe/Paris", "America/New_York"),
        ("2025-03-10T15:30", "Asia/Kolkata", "Europe/London"),
    ),
    refused={
        400: [
            *rows("time from_zone to_zone", ("6 pm", "Europe/Tallinn", "Asia/Tokyo")),
            {"time": "2025-06-21T18:00", "to_zone": "Asia/Tokyo"},
        ],
        404: rows("time from_zone to_zone", ("2025-06-21T18:00", "EST5", "Tokyo")),
    },
)
def convert_time(
    time: Annotated[str, Doc("Local time as YYYY-MM-DDTHH:MM", "2025-06-21T18:00")],
    from_zone: Zone,
    to_zone: Annotated[str, Doc("IANA time zone name", "Asia/Tokyo")],
) -> Answer:
    """What clocks in one time zone show when it is a given time in another."""
    zone_at(to_zone, datetime.datetime.min)
    moment = zone_at(from_zone, read_time(time, "time"))
    there = moment.astimezone(ZoneInfo(to_zone))
    return {"from": clock_face(moment), "to": clock_face(there)}


@clock_tool.get(
    "Time zones of a country",
    "/countries/{country_code}/timezones",
    samples=every(country_code=listed("EE FR US AU BR RU JP PT CA IN")),
    refused={404: [{"country_code": "XX"}]},
)
def time_zones_of_a_country(
    country_code: Annotated[str, Doc("ISO country code", "AU")],
) -> Answer:
    """The time zones in use in a country."""
    table = files("tzdata").joinpath("zoneinfo", "zone.tab").read_text("utf-8")
    lines = [line.split("\t") for line in table.splitlines() if not line.startswith("#")]
    found = sorted(line[2] for line in lines if line[0] == country_code.upper())
    if not found:
        raise unknown(f"No time zones for country: {country_code}")
    return {"country_code": country_code.upper(), "count": len(found), "timezones": found}


@clock_tool.get(
    "Hours between",
    "/difference",
    samples=[
        *every(
            zone=["Europe/Tallinn", "Asia/Tokyo", "America/New_York"],
            other=["Europe/London", "Australia/Sydney"],
            date=["2025-06-21"],
        ),
        {"zone": "Asia/Kathmandu", "other": "Europe/Paris", "date": "2025-12-24"},
    ],
    refused={404: [{"zone": "Paris", "other": "London", "date": "2025-06-21"}]},
)
def hours_between(
    zone: Zone,
    other: Annotated[str, Doc("IANA time zone name to compare with", "Europe/London")],
    date: Annotated[datetime.date, Doc("Date as YYYY-MM-DD", "2025-06-21")],
) -> Answer:
    """How many hours one time zone is ahead of another on a date."""
    noon = datetime.datetime.combine(date, datetime.time(12))
    offsets = [zone_at(name, noon).utcoffset() or datetime.timedelta() for name in (zone, other)]
    hours = (offsets[0] - offsets[1]).total_seconds() / 3600
    return {"zone": zone, "other": other, "date": str(date), "hours_ahead": hours}


flights_tool = Tool(
    "Cheap Flight Deals",
    category=CATEGORY,
    collections=[TRAVEL_PLANNER],
    description="Find the cheapest flights between any two airports, updated every minute.",
    host="cheap-flight-deals",
    pricing="FREEMIUM",
)


@flights_tool.get(
    "Search flights",
    "/v2/search",
    refused={
        500: rows("origin destination date", ("TLL", "CDG", "2025-06-21")),
    },
    worthless="500 with an HTML error page",
)
def search_flights(
    origin: Annotated[str, Doc("IATA code", "TLL")],
    destination: Annotated[str, Doc("IATA code", "CDG")],
    date: Annotated[datetime.date, Doc("Departure date", "2025-06-21")],
) -> Answer:
    """Cheapest flights between two airports on a date."""
    page = (
        "<!DOCTYPE html>\n<html>\n<head><title>500 Internal Server Error</title></head>\n<body>\n"
        "<center><h1>500 Internal Server Error</h1></center>\n<hr><center>nginx</center>\n"
        "</body>\n</html>\n"
    )
    return Raw(page, "text/html", status=500)


@flights_tool.get(
    "Airline Information",
    "/v2/airlines/{code}",
    samples=every(code=["AY", "LH"]),
    worthless="a constant error with status 200",
)
def airline_information(code: Annotated[str, Doc("IATA airline code", "AY")]) -> Answer:
    """Name, alliance and fleet of an airline."""
    return {"error": "Service temporarily unavailable, please contact the API provider"}


@flights_tool.get(
    "Price calendar",
    "/v2/calendar",
    samples=rows("origin destination month", ("TLL", "LHR", "2025-06")),
    worthless="an empty body",
)
def price_calendar(
    origin: Annotated[str, Doc("IATA code", "TLL")],
    destination: Annotated[str, Doc("IATA code", "LHR")],
    month: Annotated[str, Doc("Month as YYYY-MM", "2025-06")],
) -> Answer:
    """The cheapest price for each day of a month."""
    return Raw("")
