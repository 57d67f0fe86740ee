"""Location: cities, countries, US zip codes, coordinates and grid references."""

import math
import re
from functools import cache
from typing import Annotated, Any

import maidenhead
import pycountry
import utm
import zipcodes
from geographiclib.geodesic import Geodesic
from openlocationcode import openlocationcode

from .core import (
    CLASSROOM_HELPER,
    GLOBAL_COMMERCE,
    SKY_AND_SPACE,
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
from .places import cities, countries, paged, place, point

CATEGORY = "Location"

matching: Any = zipcodes.matching
filter_by: Any = zipcodes.filter_by

CITIES = listed(
    "Tallinn|Paris|London|New York City|Tokyo|Sydney|Berlin|Madrid|Rome|Reykjavík|Cape Town|"
    "São Paulo|Delhi|Cairo|Singapore|Helsinki|Oslo|Lisbon",
    by="|",
)

Latitude = Annotated[float, Doc("Latitude in degrees, north positive", 59.43696, low=-90, high=90)]
Longitude = Annotated[
    float, Doc("Longitude in degrees, east positive", 24.75353, low=-180, high=180)
]

cities_tool = Tool(
    "Cities of the World",
    category=CATEGORY,
    collections=[TRAVEL_PLANNER, SKY_AND_SPACE],
    description="25,000 cities with coordinates, population and time zone, from GeoNames (2021).",
    host="cities-of-the-world",
)


def brief(city: dict[str, Any]) -> dict[str, Any]:
    """Return a city's line in a list."""
    return {
        "id": city["geonameid"],
        "name": city["name"],
        "country": city["countrycode"],
        "population": city["population"],
    }


@cities_tool.get(
    "searchCity",
    "/v1/cities",
    samples=[
        *every(name=CITIES),
        {"name": "Paris", "country": "US"},
        {"name": "Таллин"},
        {"name": "San", "limit": 10},
    ],
    refused={400: [{}, {"name": "San", "limit": 500}]},
)
def search_city(
    name: Annotated[str, Doc("Beginning of the city's name", "Tallinn")],
    country: Annotated[str | None, Doc("Only this country (ISO code)")] = None,
    limit: Annotated[int, Doc("Number of cities", low=1, high=20)] = 5,
) -> Answer:
    """Cities whose name, in any language, starts with a text; the largest come first."""
    wanted = name.lower()
    found = [
        city
        for city in cities().values()
        if country in (None, city["countrycode"])
        and any(known.lower().startswith(wanted) for known in names_of(city))
    ]
    return {"total": len(found), "cities": [brief(city) for city in found[:limit]]}


def names_of(city: dict[str, Any]) -> list[str]:
    """Return a city's name and its other names."""
    return [city["name"], *city["alternatenames"]]


@cities_tool.get(
    "getCity",
    "/v1/cities/{id}",
    samples=every(id=[place(name)["geonameid"] for name in CITIES]),
    refused={404: [{"id": 1}], 400: [{"id": "Tallinn"}]},
)
def get_city(
    city_id: Annotated[int, Doc("GeoNames id, as found by searchCity", 588409, name="id")],
) -> Answer:
    """A city by its GeoNames id: country, coordinates, population, time zone."""
    city = cities().get(str(city_id))
    if city is None:
        raise unknown(f"There is no city with id {city_id}")
    return {
        **brief(city),
        "latitude": city["latitude"],
        "longitude": city["longitude"],
        "timezone": city["timezone"],
    }


@cities_tool.get(
    "Nearest cities",
    "/v1/cities/near",
    samples=[point(name) for name in CITIES[:8]]
    + [{**point("Tallinn"), "min_population": 500000}]
    + rows("latitude longitude", (58.0, 26.5), (0.0, 0.0)),
    refused={400: [*rows("latitude longitude", (124.7, 59.4)), {"latitude": 59.4}]},
)
def nearest_cities(
    latitude: Latitude,
    longitude: Longitude,
    min_population: Annotated[int, Doc("Smallest population", low=0)] = 15000,
) -> Answer:
    """The cities nearest to a point, with their distance."""

    def rank(city: dict[str, Any]) -> float:
        north = math.radians(city["latitude"] - latitude)
        east = math.radians(city["longitude"] - longitude)
        shrink = math.cos(math.radians(latitude)) * math.cos(math.radians(city["latitude"]))
        return math.sin(north / 2) ** 2 + shrink * math.sin(east / 2) ** 2

    candidates = [city for city in cities().values() if city["population"] >= min_population]
    measured = [
        (kilometres(latitude, longitude, city["latitude"], city["longitude"]), city)
        for city in sorted(candidates, key=rank)[:20]
    ]
    measured.sort(key=lambda pair: pair[0])
    return {"cities": [{**brief(city), "distance_km": far} for far, city in measured[:5]]}


def kilometres(latitude: float, longitude: float, to_latitude: float, to_longitude: float) -> float:
    """Return the geodesic distance of two points."""
    metres: float = Geodesic.WGS84.Inverse(latitude, longitude, to_latitude, to_longitude)["s12"]
    return round(metres / 1000, 3)


@cities_tool.get(
    "Largest cities of a country",
    "/v1/countries/{country}/cities",
    samples=every(country=listed("EE FR DE US JP IN BR GB"))
    + rows("country limit offset", ("FR", 10, 10), ("US", 10, 10)),
    refused={404: [{"country": "XX"}]},
)
def largest_cities_of_a_country(
    country: Annotated[str, Doc("ISO country code", "EE")],
    limit: Annotated[int, Doc("Cities per page", low=1, high=20)] = 10,
    offset: Annotated[int, Doc("First city of the page", low=0)] = 0,
) -> Answer:
    """The cities of a country by population, a page at a time."""
    found = [city for city in cities().values() if city["countrycode"] == country.upper()]
    if not found:
        raise unknown(f"No cities in country '{country}'")
    lines = [
        {"id": city["geonameid"], "name": city["name"], "population": city["population"]}
        for city in found
    ]
    return paged(lines, offset, limit)


countries_tool = Tool(
    "Country Facts",
    category=CATEGORY,
    collections=[TRAVEL_PLANNER, GLOBAL_COMMERCE, CLASSROOM_HELPER],
    description="Capital, area, population, currency, neighbours and regions of every country. "
    "From GeoNames (2021) and ISO 3166.",
    host="country-facts",
    error_key="error",
)

COUNTRIES = listed("EE FR DE US JP GB BR IN ZA AU IS CH SG EG")
CountryCode = Annotated[str, Doc("Two-letter or three-letter ISO country code", "EE")]


def country_of(code: str) -> dict[str, Any]:
    """Return a country by either of its codes."""
    for country in countries().values():
        if code.upper() in (country["iso"], country["iso3"]):
            return country
    raise unknown(f"Country {code} does not exist")


@countries_tool.get(
    "Country details",
    "/country/{code}",
    samples=every(code=[*COUNTRIES, "EST", "NZL"]),
    refused={404: every(code=["XX", "Estonia"])},
)
def country_details(code: CountryCode) -> Answer:
    """Facts about a country: capital, area, population, continent, currency, languages."""
    country = country_of(code)
    return {
        "name": country["name"],
        "iso2": country["iso"],
        "iso3": country["iso3"],
        "numeric": country["isonumeric"],
        "capital": country["capital"],
        "continent": country["continentcode"],
        "area_km2": country["areakm2"],
        "population": country["population"],
        "currency": {"code": country["currencycode"], "name": country["currencyname"]},
        "calling_code": country["phone"],
        "top_level_domain": country["tld"],
        "languages": [tag for tag in country["languages"].split(",") if tag],
        "postal_code_pattern": country["postalcoderegex"] or None,
    }


@countries_tool.get(
    "searchCountry",
    "/search",
    samples=[
        *every(query=["Estonia", "France", "land", "Guinea", "Paris", "Tokyo", "United"]),
        {"query": "Narnia"},
    ],
    refused={400: [{}]},
)
def search_country(
    query: Annotated[str, Doc("Part of a country's or capital's name", "Estonia")],
) -> Answer:
    """Countries whose name or capital contains a text."""
    wanted = query.lower()
    found = [
        {"code": one["iso"], "name": one["name"], "capital": one["capital"]}
        for one in countries().values()
        if wanted in f"{one['name']}|{one['capital']}".lower()
    ]
    return {"count": len(found), "results": found[:12]}


@countries_tool.get(
    "Neighbours",
    "/country/{code}/neighbours",
    samples=every(code=COUNTRIES[:12]),
    refused={404: [{"code": "ZZ"}]},
)
def neighbours(code: CountryCode) -> Answer:
    """The countries that share a land border with a country."""
    country = country_of(code)
    codes = [one for one in country["neighbours"].split(",") if one]
    found = [{"code": one, "name": countries()[one]["name"]} for one in sorted(codes)]
    return {"country": country["name"], "count": len(found), "neighbours": found}


@countries_tool.get(
    "Regions of a country",
    "/country/{code}/regions",
    samples=[
        *every(code=listed("EE FR DE US JP CH CA")),
        {"code": "US", "offset": 15},
        {"code": "JP", "offset": 45, "limit": 5},
    ],
    refused={404: [{"code": "QX"}], 400: [{"code": "US", "limit": 1000}]},
)
def regions_of_a_country(
    code: CountryCode,
    offset: Annotated[int, Doc("First region of the page", low=0)] = 0,
    limit: Annotated[int, Doc("Regions per page", low=1, high=30)] = 10,
) -> Answer:
    """States, provinces or counties of a country with their ISO 3166-2 codes."""
    country = country_of(code)
    subdivisions: Any = pycountry.subdivisions
    found = sorted(subdivisions.get(country_code=country["iso"]) or [], key=lambda r: r.code)
    lines = [{"code": one.code, "name": one.name, "type": one.type} for one in found]
    return paged(lines, offset, limit)


@countries_tool.get(
    "allCountries",
    "/all",
    samples=[{}, *every(continent=listed("EU AS AF SA OC"))],
    refused={400: [{"continent": "Europe"}]},
)
def all_countries(
    continent: Annotated[
        str | None,
        Doc("Continent code", choices=("AF", "AN", "AS", "EU", "NA", "OC", "SA")),
    ] = None,
) -> Answer:
    """Every country with code, name, capital, area and population. Optionally of one continent."""
    return [
        {
            "code": one["iso"],
            "name": one["name"],
            "capital": one["capital"],
            "area_km2": one["areakm2"],
            "population": one["population"],
        }
        for one in countries().values()
        if continent in (None, one["continentcode"])
    ]


zip_tool = Tool(
    "US Zip Codes",
    category=CATEGORY,
    collections=[GLOBAL_COMMERCE],
    description="Look up US zip codes: city, county, state, coordinates, telephone area codes.",
    host="us-zip-codes",
    error_key="detail",
)


def zip_record(code: str) -> dict[str, Any]:
    """Return what is known about a zip code."""
    if len(code) != 5 or not code.isdigit():
        raise wrong(f"A zip code has five digits: {code}")
    found: list[dict[str, Any]] = matching(code)
    if not found:
        raise unknown(f"Zip code {code} not found")
    return found[0]


@zip_tool.get(
    "Lookup",
    "/zip/{zipcode}",
    samples=every(zipcode=listed("90210 10001 60601 94103 02108 98101 33101 20500 73301 99501")),
    refused={404: [{"zipcode": "00000"}], 400: every(zipcode=["9021", "ABCDE"])},
)
def lookup(zipcode: Annotated[str, Doc("Five-digit zip code", "90210")]) -> Answer:
    """City, county, state, coordinates and time zone of a zip code."""
    one = zip_record(zipcode)
    return {
        "zip": one["zip_code"],
        "type": one["zip_code_type"],
        "city": one["city"],
        "county": one["county"],
        "state": one["state"],
        "timezone": one["timezone"],
        "area_codes": one["area_codes"],
        "latitude": float(one["lat"]),
        "longitude": float(one["long"]),
    }


@zip_tool.get(
    "City to zip codes",
    "/city",
    samples=rows(
        "city state",
        ("Beverly Hills", "CA"),
        ("Chicago", "IL"),
        ("Boston", "MA"),
        ("Seattle", "WA"),
        ("Miami", "FL"),
        ("Austin", "TX"),
        ("Portland", "OR"),
        ("Portland", "ME"),
    ),
    refused={400: [{"city": "Boston"}], 404: rows("city state", ("Gotham", "NY"))},
)
def city_to_zip_codes(
    city: Annotated[str, Doc("Name of the city", "Beverly Hills")],
    state: Annotated[str, Doc("Two-letter state code", "CA")],
) -> Answer:
    """The zip codes of a city."""
    found = filter_by(city=city.title(), state=state.upper())
    if not found:
        raise unknown(f"No zip codes for {city}, {state}")
    codes = sorted(one["zip_code"] for one in found)
    return {"city": city, "state": state.upper(), "count": len(codes), "zip_codes": codes[:40]}


@zip_tool.get(
    "Distance between zip codes",
    "/distance",
    samples=rows(
        "zip1 zip2",
        ("10001", "90210"),
        ("02108", "10001"),
        ("60601", "98101"),
        ("33101", "20500"),
        ("94103", "90210"),
    ),
    refused={404: rows("zip1 zip2", ("10001", "00000"))},
)
def distance_between_zip_codes(
    zip1: Annotated[str, Doc("Five-digit zip code", "10001")],
    zip2: Annotated[str, Doc("Five-digit zip code", "90210")],
) -> Answer:
    """Distance in kilometres and miles between the centres of two zip codes."""
    points = []
    for code in (zip1, zip2):
        found = zip_record(code)
        points += [float(found["lat"]), float(found["long"])]
    far = kilometres(*points)
    return {"zip1": zip1, "zip2": zip2, "km": round(far, 1), "miles": round(far / 1.609344, 1)}


geo_tool = Tool(
    "Geo Toolkit",
    category=CATEGORY,
    collections=[TRAVEL_PLANNER, SKY_AND_SPACE],
    description="Distances, bearings and plus codes for coordinates on the WGS-84 ellipsoid.",
    host="geo-toolkit",
)

CITY_PAIRS = [
    ("Tallinn", "Helsinki"),
    ("Tallinn", "Paris"),
    ("Paris", "London"),
    ("London", "New York City"),
    ("Tokyo", "Sydney"),
    ("Madrid", "Rome"),
    ("Cairo", "Cape Town"),
    ("Oslo", "Reykjavík"),
    ("Berlin", "Lisbon"),
]


def pair_sample(start: str, end: str) -> dict[str, Any]:
    """Return the coordinates of two cities as the arguments of a sample call."""
    one, other = point(start), point(end)
    return {
        "lat1": one["latitude"],
        "lon1": one["longitude"],
        "lat2": other["latitude"],
        "lon2": other["longitude"],
    }


@geo_tool.get(
    "Distance",
    "/distance",
    samples=[pair_sample(*pair) for pair in CITY_PAIRS],
    refused={
        400: [
            {"lat1": "59.4N", "lon1": 24.7, "lat2": 60.2, "lon2": 24.9},
            {"lat1": 59.4, "lon1": 24.7, "lat2": 60.2},
        ]
    },
)
def distance(
    lat1: Annotated[float, Doc("Latitude of the start", 59.43696, low=-90, high=90)],
    lon1: Annotated[float, Doc("Longitude of the start", 24.75353, low=-180, high=180)],
    lat2: Annotated[float, Doc("Latitude of the end", 60.16952, low=-90, high=90)],
    lon2: Annotated[float, Doc("Longitude of the end", 24.93545, low=-180, high=180)],
) -> Answer:
    """Geodesic distance and bearings between two points."""
    line = Geodesic.WGS84.Inverse(lat1, lon1, lat2, lon2)
    return {
        "distance_km": round(line["s12"] / 1000, 3),
        "distance_miles": round(line["s12"] / 1609.344, 3),
        "initial_bearing": round(line["azi1"] % 360, 2),
        "final_bearing": round(line["azi2"] % 360, 2),
    }


@geo_tool.get(
    "Destination point",
    "/destination",
    samples=[
        {**point(name), "bearing": bearing, "distance_km": far}
        for name, bearing, far in [
            ("Tallinn", 0, 80),
            ("Paris", 90, 100),
            ("London", 270, 500),
            ("Tokyo", 180, 1000),
            ("Sydney", 45, 250),
        ]
    ],
    refused={400: [{**point("Tallinn"), "bearing": "north", "distance_km": 80}]},
)
def destination_point(
    latitude: Latitude,
    longitude: Longitude,
    bearing: Annotated[float, Doc("Direction in degrees from north", 90, low=0, high=360)],
    distance_km: Annotated[float, Doc("Distance in kilometres", 100, low=0, high=20000)],
) -> Answer:
    """The point reached by going a distance from a start in a direction."""
    line = Geodesic.WGS84.Direct(latitude, longitude, bearing, 1000 * distance_km)
    return {"latitude": round(line["lat2"], 6), "longitude": round(line["lon2"], 6)}


@geo_tool.get(
    "Encode plus code",
    "/pluscode/encode",
    samples=[point(name) for name in CITIES[:9]],
    refused={400: [{"longitude": 24.75}]},
)
def encode_plus_code(latitude: Latitude, longitude: Longitude) -> Answer:
    """The plus code (Open Location Code) of a point."""
    return {"plus_code": openlocationcode.encode(latitude, longitude)}


@cache
def city_codes() -> list[str]:
    """Return the plus codes of the sample cities."""
    points = [point(name) for name in CITIES[:9]]
    return [openlocationcode.encode(one["latitude"], one["longitude"]) for one in points]


@geo_tool.get(
    "Decode plus code",
    "/pluscode/decode",
    samples=every(code=city_codes()),
    refused={400: every(code=["hello", "QVP3+Q9"])},
)
def decode_plus_code(code: Annotated[str, Doc("Full plus code", "9GF6CQP3+QC")]) -> Answer:
    """The centre and the corners of the area that a full plus code stands for."""
    if not openlocationcode.isFull(code):
        raise wrong(f"'{code}' is not a full plus code")
    area = openlocationcode.decode(code)
    return {
        "center": {"lat": round(area.latitudeCenter, 7), "lng": round(area.longitudeCenter, 7)},
        "southwest": {"lat": round(area.latitudeLo, 7), "lng": round(area.longitudeLo, 7)},
        "northeast": {"lat": round(area.latitudeHi, 7), "lng": round(area.longitudeHi, 7)},
        "code_length": area.codeLength,
    }


grid_tool = Tool(
    "Grid References",
    category=CATEGORY,
    collections=[TRAVEL_PLANNER],
    description="Coordinates as UTM grid references and as radio amateurs' locators, and back.",
    host="grid-references",
    error_key="error",
)

LOCATORS = listed("KO29jk JO62qm FN30as JN18eu QF56od PM95tq JN61fv IO91wm HP94ad")


@grid_tool.get(
    "To UTM",
    "/utm",
    samples=[point(name) for name in CITIES[:12]],
    refused={400: [*rows("latitude longitude", (88, 24.75)), {"latitude": 59.4}]},
)
def to_utm(latitude: Latitude, longitude: Longitude) -> Answer:
    """A place as UTM zone, easting and northing in metres (WGS 84)."""
    try:
        easting, northing, zone, band = utm.from_latlon(latitude, longitude)
    except utm.OutOfRangeError as reason:
        raise wrong(str(reason)) from None
    metres = round(float(easting)), round(float(northing))
    return {
        "zone": f"{zone}{band}",
        "easting": metres[0],
        "northing": metres[1],
        "text": f"{zone}{band} {metres[0]} {metres[1]}",
    }


@grid_tool.get(
    "From UTM",
    "/utm/{zone}",
    samples=rows(
        "zone easting northing",
        ("35V", 372590, 6590861),
        ("31U", 452220, 5411500),
        ("33U", 391779, 5820080),
        ("18T", 583960, 4507523),
        ("54S", 388435, 3950540),
        ("56H", 334898, 6251930),
        ("30U", 699319, 5710158),
        ("27W", 455000, 7113000),
        ("30T", 440000, 4474000),
        ("34H", 262000, 6243000),
    ),
    refused={400: rows("zone easting northing", ("99X", 1, 1), ("35V", 5, 5), ("north", 5, 5))},
)
def from_utm(
    zone: Annotated[str, Doc("Zone number and band letter", "35V")],
    easting: Annotated[float, Doc("Easting in metres", 372590)],
    northing: Annotated[float, Doc("Northing in metres", 6590861)],
) -> Answer:
    """The coordinates of a UTM grid reference."""
    if not re.fullmatch(r"\d{1,2}[A-Za-z]", zone):
        raise wrong(f"zone: '{zone}' is not like 35V")
    try:
        found = utm.to_latlon(easting, northing, int(zone[:-1]), zone[-1].upper())
    except utm.OutOfRangeError as reason:
        raise wrong(str(reason)) from None
    return {
        "latitude": round(float(found[0]), 5),
        "longitude": round(float(found[1]), 5),
        "hemisphere": "north" if zone[-1].upper() >= "N" else "south",
    }


@grid_tool.get(
    "Maidenhead locator",
    "/locator",
    samples=[point(name) for name in CITIES[:10]]
    + [{**point(name), "characters": 4} for name in CITIES[:3]],
    refused={400: [{**point("Tallinn"), "characters": 5}, {"latitude": 91, "longitude": 0}]},
)
def maidenhead_locator(
    latitude: Latitude,
    longitude: Longitude,
    characters: Annotated[int, Doc("Length of the locator: 4, 6 or 8", low=4, high=8)] = 6,
) -> Answer:
    """The Maidenhead locator of a place, as radio amateurs exchange it."""
    if characters % 2:
        raise wrong(f"'characters' must be 4, 6 or 8, got {characters}")
    locator = maidenhead.to_maiden(latitude, longitude, characters // 2)
    return {"locator": locator, "field": locator[:2], "square": locator[:4]}


@grid_tool.get(
    "Locator position",
    "/locator/{locator}",
    samples=every(locator=LOCATORS),
    refused={400: every(locator=["ZZ99", "KO2", "home"])},
)
def locator_position(
    locator: Annotated[str, Doc("Maidenhead locator of 4 or 6 characters", "KO29jk")],
) -> Answer:
    """The middle of a Maidenhead locator's field."""
    if not re.fullmatch(r"[A-Ra-r]{2}\d\d([A-Xa-x]{2})?", locator):
        raise wrong(f"locator: '{locator}' is not like KO29jk")
    latitude, longitude = maidenhead.to_location(locator, center=True)
    return {
        "locator": locator,
        "latitude": round(latitude, 4),
        "longitude": round(longitude, 4),
    }


@grid_tool.get(
    "locatorDistance",
    "/locators/distance",
    samples=[
        {"from": start, "to": end}
        for start, end in zip(LOCATORS, [*LOCATORS[1:], LOCATORS[0]], strict=True)
    ]
    + rows("from to", ("KO29", "JO62"), ("IO91wm", "FN30as")),
    refused={400: [{"from": "KO29jk", "to": "nowhere"}, {"from": "KO29jk"}]},
)
def locator_distance(
    start: Annotated[str, Doc("Locator of the one station", "KO29jk", name="from")],
    end: Annotated[str, Doc("Locator of the other station", "JO62qm", name="to")],
) -> Answer:
    """Distance and bearing between the middles of two locators."""
    one, other = (locator_position(locator) for locator in (start, end))
    assert isinstance(one, dict)
    assert isinstance(other, dict)
    line = Geodesic.WGS84.Inverse(
        one["latitude"], one["longitude"], other["latitude"], other["longitude"]
    )
    return {
        "from": start,
        "to": end,
        "distance_km": round(line["s12"] / 1000, 1),
        "bearing": round(line["azi1"] % 360, 1),
    }
