import json

import pytest

from sandbox.function import FINISH, function_for
from sandbox.names import folder_name, function_name, identifier, standardise
from sandbox.tool import Tool
from tests.conftest import WEATHER


@pytest.mark.parametrize(
    ("name", "standard"),
    [
        ("Web Search", "web_search"),
        ("/offices/search/:service/", "offices_search_service"),
        ("  --Odd__name!! ", "odd_name"),
        ("3D Models", "get_3d_models"),
        ("天气 API", "天气_api"),
        ("a^b", "a^b"),
        ("Anápolis", "an_polis"),
        ("!!!", ""),
    ],
)
def test_names_are_standardised_as_toolbench_does(name: str, standard: str) -> None:
    assert standardise(name) == standard


def test_reserved_names_are_prefixed() -> None:
    assert [identifier(n) for n in ("id", "From", "Class", "ids")] == [
        "is_id",
        "is_from",
        "is_class",
        "ids",
    ]


def test_a_function_keeps_the_last_64_characters() -> None:
    name = function_name("Some Tool", "a very long name " * 8)
    assert len(name) == 64
    assert name.endswith("name_for_some_tool")


@pytest.mark.parametrize("hostile", ["../../etc/passwd", "a/b", "..", "/", "\0", "x" * 500])
def test_a_folder_name_never_leaves_its_folder(hostile: str) -> None:
    folder = folder_name(hostile)
    assert folder
    assert len(folder) <= 100
    assert not set(folder) & {"/", ".", "\0"}


def test_an_api_becomes_an_openai_function() -> None:
    tool = Tool.model_validate(WEATHER)
    by_city, alerts = (function_for(tool, api) for api in tool.api_list)
    assert by_city["name"] == "by_city_for_weather_now"
    properties = by_city["parameters"]["properties"]
    assert {name: p["type"] for name, p in properties.items()} == {
        "city": "string",
        "days": "number",
        "metric": "boolean",
    }
    assert properties["city"]["example_value"] == "Oslo"
    assert by_city["parameters"]["required"] == ["city"]
    assert by_city["parameters"]["optional"] == ["days", "metric"]
    assert alerts["parameters"]["properties"] == {}


def test_optional_parameters_stay_where_none_is_required() -> None:
    tool = Tool.model_validate(
        {
            "tool_name": "T",
            "api_list": [{"name": "A", "optional_parameters": [{"name": "id", "type": "NUMBER"}]}],
        }
    )
    parameters = function_for(tool, tool.api_list[0])["parameters"]
    assert list(parameters["properties"]) == ["is_id"]
    assert parameters["optional"] == ["is_id"]


def test_descriptions_are_cut() -> None:
    tool = Tool.model_validate(
        {"tool_name": "T", "api_list": [{"name": "A", "description": "d" * 5000}]}
    )
    assert len(function_for(tool, tool.api_list[0])["description"]) < 300


def test_a_document_is_written_as_it_was_read() -> None:
    document = json.loads(json.dumps(WEATHER))
    document["score"] = {"avgLatency": 12}
    document["api_list"][0]["test_endpoint"] = {"kept": True}
    assert Tool.model_validate(document).to_json() == document


def test_finish_offers_both_ends() -> None:
    choices = FINISH["parameters"]["properties"]["return_type"]["enum"]
    assert choices == ["give_answer", "give_up_and_restart"]
