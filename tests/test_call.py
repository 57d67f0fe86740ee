from typing import Any

import pytest

from sandbox.call import KEY_RULE, ApiCall, call_key
from sandbox.tool import Tool
from tests.conftest import WEATHER

BY_CITY = Tool.model_validate(WEATHER).api_list[0]


def key(arguments: dict[str, Any] | str, tool: str = "Weather Now", api: str = "By City") -> str:
    return call_key(ApiCall("Weather", tool, api, arguments), BY_CITY)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"city": "Oslo", "days": 5}, {"days": "5", "city": "Oslo"}),
        ({"city": "Oslo", "days": 5}, {"city": "Oslo", "days": 5.0}),
        ({"city": "Oslo", "days": 5}, {"city": "Oslo", "days": "5\u00a0"}),
        ({"city": "Oslo", "metric": True}, {"city": "Oslo", "metric": "True"}),
        ({"city": 7}, {"city": "7"}),
        ({"city": "Oslo", "days": None}, {"city": "Oslo"}),
        ({"City": "Oslo"}, {"city": "Oslo"}),
        ({"appid": "0123456789abcdef"}, {"appid": "fedcba9876543210"}),
    ],
)
def test_the_same_call_in_two_spellings_has_one_key(one: Any, other: Any) -> None:
    assert key(one) == key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"city": "Oslo"}, {"city": "oslo"}),
        ({"city": "Oslo", "days": 5}, {"city": "Oslo", "days": 5.5}),
        ({"city": "Oslo", "days": "05"}, {"city": "Oslo", "days": 5}),
        ({"city": "Oslo", "days": "٥"}, {"city": "Oslo", "days": 5}),
        ({"city": "Oslo", "days": ""}, {"city": "Oslo"}),
        ({"city": "1.0"}, {"city": "1"}),
        ({"appId": 570}, {"appId": 730}),
        ({"appid": "570"}, {"appid": "0123456789abcdef"}),
        ("{broken", {}),
    ],
)
def test_different_calls_have_different_keys(one: Any, other: Any) -> None:
    assert key(one) != key(other)


def test_names_count_in_their_standard_form() -> None:
    assert key({}) == key({}, tool="weather_now", api="by city")


def test_the_key_is_pinned_with_its_rule() -> None:
    """A change of the rule must change its version: every stored key depends on it."""
    assert KEY_RULE == 1
    assert key({"city": "Oslo", "days": "2"}).startswith("ee95ebbe5d256457")
