"""Observing the sky with ephem, shared by the tools that know about the moon and the planets."""

import datetime
from collections.abc import Callable

import ephem


def observer_at(latitude: float, longitude: float, moment: ephem.Date) -> ephem.Observer:
    """Return somebody who looks at the sky from a place at a moment."""
    observer = ephem.Observer()
    observer.lat, observer.lon, observer.date = str(latitude), str(longitude), moment
    return observer


def time_of(event: Callable[[ephem.Body], ephem.Date], body: ephem.Body) -> str | None:
    """Return when a body rises, culminates or sets, or None where it never does."""
    try:
        return minute(event(body))
    except ephem.CircumpolarError:
        return None


def minute(moment: ephem.Date) -> str:
    """Return a moment to the nearest minute, in UTC."""
    rounded: datetime.datetime = moment.datetime() + datetime.timedelta(seconds=30)
    return rounded.strftime("%Y-%m-%dT%H:%MZ")
