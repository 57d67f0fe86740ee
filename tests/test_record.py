"""Recording from real HTTP: what is sent, what is stored, faults, kills, drift and secrets."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import vcr
from rich.console import Console

from sandbox.call import ApiCall, call_line
from sandbox.cassette import cassette_path, read_cassette
from sandbox.drift import by_api
from sandbox.errors import BadInput, NetworkRefused, UnrecordedCall
from sandbox.journal import Journal
from sandbox.live import LiveClient
from sandbox.network import network_shut
from sandbox.policy import LivePolicy
from sandbox.request import build_request
from sandbox.tape import Outcome, Tape, refresh_order
from sandbox.tool import Tool
from sandbox.world import World, create_world
from solver.run import steps
from tests.api_server import ApiServer, api_server
from tests.conftest import GIVE_UP, answer, call, put_on_tape
from tests.test_cli import toolreplay
from toolreplay.solving import solve
from toolreplay.tables import drift_table

KEY = "0123456789msh0123456789abcdep012345jsn0123456789ab"
HERE = frozenset({"127.0.0.1"})

SHOP = {
    "tool_name": "Shop",
    "category": "Commerce",
    "host": "shop.example",
    "api_list": [
        {
            "name": "Item",
            "url": "https://shop.example/items/{id}",
            "method": "GET",
            "required_parameters": [{"name": "id", "type": "NUMBER"}],
            "optional_parameters": [
                {"name": "lang", "type": "STRING"},
                {"name": "api_key", "type": "STRING"},
            ],
        },
        {
            "name": "Shelf",
            "url": "https://shop.example/shelves/:name/items",
            "method": "GET",
            "required_parameters": [{"name": "name", "type": "STRING"}],
        },
        {
            "name": "Order",
            "url": "https://shop.example/orders",
            "method": "POST",
            "request_body": "json",
            "required_parameters": [
                {"name": "items", "type": "ARRAY"},
                {"name": "gift", "type": "BOOLEAN"},
            ],
        },
        {
            "name": "Login",
            "url": "https://shop.example/login",
            "method": "POST",
            "request_body": "form",
            "required_parameters": [{"name": "user", "type": "STRING"}],
        },
        {
            "name": "Comment",
            "url": "https://shop.example/items/{id}/comments?lang=en",
            "method": "POST",
            "request_body": "json",
            "required_parameters": [
                {"name": "id", "type": "NUMBER"},
                {"name": "text", "type": "STRING"},
            ],
            "optional_parameters": [
                {"name": "lang", "type": "STRING"},
                {"name": "dry", "type": "BOOLEAN", "in": "query"},
            ],
        },
        {
            "name": "Secret path",
            "url": "https://shop.example/{api_key}/orders",
            "request_body": "json",
            "method": "POST",
            "required_parameters": [{"name": "api_key"}, {"name": "auth_token"}],
        },
        {
            "name": "Price",
            "url": "https://shop.example/prices/{id}",
            "method": "POST",
            "request_body": "json",
            "required_parameters": [{"name": "id", "type": "NUMBER"}],
            "optional_parameters": [
                {"name": "X-Currency", "type": "STRING", "in": "header"},
                {"name": "X-Depth", "type": "NUMBER", "in": "header"},
                {"name": "X-Api-Key", "type": "STRING", "in": "header"},
                {"name": "lot", "type": "NUMBER"},
            ],
        },
        {"name": "Nowhere", "method": "GET"},
    ],
}


@pytest.fixture
def shop(tmp_path: Path) -> World:
    document = tmp_path / "world" / "tools" / "Commerce" / "shop.json"
    document.parent.mkdir(parents=True)
    document.write_text(json.dumps(SHOP))
    return create_world(tmp_path / "world", "shop", "made by a test")


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with api_server() as running:
        yield running


def item(number: object, **more: object) -> ApiCall:
    return ApiCall("Commerce", "Shop", "Item", {"id": number, **more})


def record(
    world: World,
    server: ApiServer,
    calls: list[ApiCall],
    refresh: bool = False,
    workers: int = 1,
    **policy: object,
) -> tuple[list[Outcome], Tape]:
    chosen = LivePolicy(**{"via": server.url, "key": KEY, "longest_pause": 0.01, **policy})
    with World(world.path).recording(LiveClient(chosen), refresh) as tape:
        outcomes = list(tape.run(calls, workers))
    return outcomes, tape


def shop_cassette(world: World, transient: bool = False) -> Path:
    return cassette_path(world.path, "Commerce", "Shop", transient)


@pytest.mark.parametrize(
    ("api", "arguments", "method", "url", "body"),
    [
        ("Item", {"is_id": 7}, "GET", "https://shop.example/items/7", ""),
        (
            "Item",
            {"lang": "é&b", "id": "a/b"},
            "GET",
            "https://shop.example/items/a%2Fb?lang=%C3%A9%26b",
            "",
        ),
        ("Shelf", {"name": "../x"}, "GET", "https://shop.example/shelves/..%2Fx/items", ""),
        (
            "Order",
            {"items": [1, 2], "gift": True, "note": None},
            "POST",
            "https://shop.example/orders",
            '{"items":[1,2],"gift":true}',
        ),
        ("Login", {"user": "a b"}, "POST", "https://shop.example/login", "user=a+b"),
        (
            "Comment",
            {"id": 3, "lang": "fi", "dry": True, "text": "Fine.", "more": 1},
            "POST",
            "https://shop.example/items/3/comments?lang=fi&dry=true",
            '{"text":"Fine.","more":1}',
        ),
        (
            "Comment",
            {"id": 3, "text": "Fine."},
            "POST",
            "https://shop.example/items/3/comments?lang=en",
            '{"text":"Fine."}',
        ),
    ],
)
def test_arguments_go_where_the_document_says(
    api: str, arguments: dict[str, object], method: str, url: str, body: str
) -> None:
    tool = Tool.model_validate(SHOP)
    document = next(a for a in tool.api_list if a.name == api)
    request = build_request(tool, document, ApiCall("Commerce", "Shop", api, arguments))
    assert (request.method, str(request.url), request.read().decode()) == (method, url, body)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://shop.example/u/:id?format=json", "https://shop.example/u/7?format=json"),
        ("https://shop.example/u/:id#top", "https://shop.example/u/7#top"),
        ("https://shop.example/u?id={id}&lang={lang}&x=1", "https://shop.example/u?id=7&x=1"),
        ("https://shop.example/u/{id}?lang={lang}", "https://shop.example/u/7"),
    ],
)
def test_placeholders_are_filled_or_left_out(url: str, sent: str) -> None:
    tool = Tool.model_validate({**SHOP, "api_list": [{"name": "User", "url": url}]})
    asked = ApiCall("Commerce", "Shop", "User", {"id": 7})
    assert str(build_request(tool, tool.api_list[0], asked).url) == sent


def test_a_search_goes_on_where_a_call_lacks_what_its_path_needs(
    shop: World, server: ApiServer
) -> None:
    opened = World(shop.path)
    with opened.recording(LiveClient(LivePolicy(via=server.url))), pytest.raises(UnrecordedCall):
        opened.call(ApiCall("Commerce", "Shop", "Item", {"lang": "fi"}))
    assert not server.requests


def price(**arguments: object) -> ApiCall:
    return ApiCall("Commerce", "Shop", "Price", {"id": 1, **arguments})


def test_header_parameters_are_sent_kept_and_told_apart(shop: World, server: ApiServer) -> None:
    calls = [price(x_currency="EUR", x_depth=2, lot=5), price(x_currency="SEK"), price()]
    record(shop, server, calls)
    assert [(h.get("x-currency"), h.get("x-depth"), b) for _, _, h, b in server.requests] == [
        ("EUR", "2", '{"lot":5}'),
        ("SEK", None, "{}"),
        (None, None, "{}"),
    ]
    stored = [r.request["headers"] for r in read_cassette(shop_cassette(shop))]
    assert [h.get("x-currency") for h in stored] == [["EUR"], ["SEK"], None]
    with World(shop.path).intercept() as seen:
        url = "https://shop.example/prices/1"
        for headers, body in (
            ({"X-CURRENCY": "EUR", "X-Depth": "2"}, {"lot": 5}),
            ({"x-currency": "SEK"}, {}),
        ):
            assert httpx.post(url, headers=headers, json=body).status_code == 200
        with pytest.raises(UnrecordedCall):
            httpx.post(url, headers={"x-currency": "NOK"}, json={})
    assert seen.counts == {"recorded": 2, "refused": 1}


def test_a_key_in_a_header_parameter_is_sent_and_never_stored(
    shop: World, server: ApiServer
) -> None:
    record(shop, server, [price(x_api_key="hunter22-hunter22")])
    assert server.requests[0][2]["x-api-key"] == "hunter22-hunter22"
    text = shop_cassette(shop).read_text()
    assert "hunter22" not in text
    [recording] = read_cassette(shop_cassette(shop))
    assert recording.request["headers"]["x-api-key"] == ["REDACTED"]
    assert World(shop.path).call(price(x_api_key="another-key")).body == {"ok": "/prices/1"}


def test_headers_of_a_call_follow_a_redirect_within_its_host_only(
    shop: World, server: ApiServer
) -> None:
    server.answers["/prices/1"] = (307, "https://shop.example/prices/2")
    server.answers["/prices/2"] = (307, "https://other.example/prices/3")
    hosts = frozenset({"shop.example", "other.example"})
    record(shop, server, [price(x_currency="EUR")], hosts=hosts)
    assert [(path, h.get("x-currency")) for _, path, h, _ in server.requests] == [
        ("/prices/1", "EUR"),
        ("/prices/2", "EUR"),
        ("/prices/3", None),
    ]


def test_what_cannot_be_sent_is_told(shop: World, server: ApiServer) -> None:
    for bad, problem in (
        (ApiCall("", "Shop", "Nowhere", {}), r"no http\(s\) URL"),
        (ApiCall("", "Shop", "Item", "{broken"), "no JSON object"),
        (ApiCall("", "Shop", "Basket", {}), "no document"),
        (price(x_currency="EUR\r\nx-evil: 1"), "X-Currency is sent as a header"),
        (ApiCall("", "Shop", "Item", {"lang": "fi", "id": None}), "path of .* needs id"),
        (ApiCall("", "Shop", "Shelf", {}), "path of .* needs name"),
    ):
        with pytest.raises(BadInput, match=problem):
            record(shop, server, [bad])
    assert not server.requests


def test_a_live_call_is_recorded_and_then_replayed(shop: World, server: ApiServer) -> None:
    outcomes, _ = record(shop, server, [item(1, lang="fi"), item("1", lang="fi")])
    assert [o.result for o in outcomes] == ["recorded", "kept"]
    assert outcomes[0].response.provenance == "live"
    _, path, headers, _ = server.requests[0]
    assert path == "/items/1?lang=fi"
    assert headers["x-rapidapi-key"] == KEY
    assert headers["x-rapidapi-host"] == "shop.example"
    with network_shut():
        replayed = World(shop.path).call(item(1, lang="fi"))
    assert replayed.body == {"ok": "/items/1", "lang": "fi"}
    assert replayed.provenance == "recorded"


def test_plain_vcrpy_plays_what_was_recorded(shop: World, server: ApiServer) -> None:
    order = ApiCall("Commerce", "Shop", "Order", {"items": [1], "gift": False})
    record(shop, server, [item(1), order])
    with network_shut(), vcr.use_cassette(str(shop_cassette(shop)), record_mode="none"):
        assert httpx.get("https://shop.example/items/1").json() == {"ok": "/items/1"}
        body = {"items": [1], "gift": False}
        assert httpx.post("https://shop.example/orders", json=body).json() == {"ok": "/orders"}


def test_recording_does_not_depend_on_workers_or_order(
    shop: World, server: ApiServer, tmp_path: Path
) -> None:
    calls = [item(n) for n in range(40)]
    record(shop, server, calls, workers=8)
    one = shop_cassette(shop).read_text()
    shop_cassette(shop).unlink()
    record(shop, server, calls[::-1])
    assert shop_cassette(shop).read_text() == one


def test_what_no_secret_is_long_enough_for_stays_in_answers(shop: World, server: ApiServer) -> None:
    said = {"text": "None of them", "year": 2024, "also": "hunter2"}
    for number, secret in ((1, None), (2, 2024), (3, "hunter2"), (4, "2024")):
        server.answers[f"/items/{number}"] = (200, said)
        outcomes, _ = record(shop, server, [item(number, api_key=secret)])
        assert outcomes[0].response.body == said
        assert World(shop.path).call(item(number, api_key=secret)).body == said
    assert "api_key=hunter2" not in shop_cassette(shop).read_text()
    server.answers["/hunter3/orders"] = (200, {})
    record(shop, server, [ApiCall("Commerce", "Shop", "Secret path", {"api_key": "hunter3"})])
    assert "hunter3" not in shop_cassette(shop).read_text()


def test_volatile_headers_and_cookies_are_not_stored(shop: World, server: ApiServer) -> None:
    record(shop, server, [item(1)])
    text = shop_cassette(shop).read_text()
    assert "x-request-id" not in text
    assert "secret-cookie" not in text
    assert "127.0.0.1" not in text


@pytest.mark.parametrize("fault", [429, 503, "reset", "hang"])
def test_a_passing_failure_is_retried(shop: World, server: ApiServer, fault: int | str) -> None:
    server.faults["/items/1"] = [fault]
    outcomes, _ = record(shop, server, [item(1)], timeout=0.3)
    assert [o.result for o in outcomes] == ["recorded"]
    assert server.seen["/items/1"] == 2


@pytest.mark.parametrize(("fault", "code"), [(429, 9), (500, 6), ("reset", 12), ("hang", 5)])
def test_a_lasting_failure_is_kept_apart_and_refreshed_first(
    shop: World, server: ApiServer, fault: int | str, code: int
) -> None:
    server.faults["/items/9"] = [fault] * 3
    outcomes, _ = record(shop, server, [item(1), item(9)], retries=2, timeout=0.2)
    assert [o.result for o in outcomes] == ["recorded", "transient"]
    assert outcomes[1].response.status_code == code
    assert "/items/9" not in shop_cassette(shop).read_text()
    assert "/items/9" in shop_cassette(shop, transient=True).read_text()
    with pytest.raises(Exception, match="Not recorded"):
        World(shop.path).call(item(9))
    assert refresh_order(World(shop.path)) == [item(9), item(1)]
    record(shop, server, [item(9)])
    assert not shop_cassette(shop, transient=True).exists()
    assert World(shop.path).call(item(9)).body == {"ok": "/items/9"}


def test_a_passing_failure_is_replayed_where_asked_for(shop: World, server: ApiServer) -> None:
    server.faults["/items/9"] = [503]
    record(shop, server, [item(1), item(9)], retries=0)
    asked = World(shop.path, failures=True)
    assert asked.call(item(9)).status_code == 6
    assert asked.call(item(1)).status_code == 0
    assert asked.hash != World(shop.path).hash
    client = LiveClient(LivePolicy(via=server.url))
    with asked.recording(client):
        assert asked.call(item(9)).provenance == "live"


def test_what_is_not_filed_yet_counts_in_the_worlds_hash(shop: World, server: ApiServer) -> None:
    outcomes, _ = record(shop, server, [item(1)])
    filed = World(shop.path).hash
    journal = Journal(shop.path)
    journal.append(replace(outcomes[0].recording, call=item(2)))
    opened = World(shop.path)
    assert opened.call(item(2)).body == {"ok": "/items/1"}
    assert opened.hash != filed


def test_a_failure_never_replaces_an_answer(shop: World, server: ApiServer) -> None:
    record(shop, server, [item(1)])
    before = shop_cassette(shop).read_text()
    server.faults["/items/1"] = [500]
    outcomes, _ = record(shop, server, [item(1)], refresh=True, retries=0)
    assert [o.result for o in outcomes] == ["transient"]
    assert shop_cassette(shop).read_text() == before


def test_an_unchanged_refresh_keeps_every_byte(shop: World, server: ApiServer) -> None:
    record(shop, server, [item(n) for n in range(5)])
    before = shop_cassette(shop).read_bytes()
    outcomes, tape = record(shop, server, refresh_order(World(shop.path)), refresh=True)
    assert {o.result for o in outcomes} == {"unchanged"}
    assert not tape.drifts
    assert shop_cassette(shop).read_bytes() == before


def test_drift_is_told_by_field_and_only_its_entry_changes(shop: World, server: ApiServer) -> None:
    server.answers["/items/2"] = (200, {"name": "cup", "price": 5, "tags": [{"a": 1}, {"b": 2}]})
    record(shop, server, [item(1), item(2), item(3)])
    before = shop_cassette(shop).read_text().splitlines()
    server.answers["/items/2"] = (200, {"name": "mug", "price": "5", "tags": [{"a": 1}], "new": 0})
    _, tape = record(shop, server, refresh_order(World(shop.path)), refresh=True)
    [drift] = tape.drifts
    assert drift.breaking
    assert drift.to_json() == {
        "call": 'Commerce/Shop/Item {"id": 2}',
        "breaking": True,
        "status": None,
        "gone": ["$.tags[].b"],
        "added": ["$.new"],
        "retyped": ["$.price: number -> string"],
        "values": ["$.name"],
    }
    after = shop_cassette(shop).read_text().splitlines()
    assert len([line for line in after if line not in before]) == 1
    assert World(shop.path).call(item(2)).body["name"] == "mug"


def test_drift_is_gathered_by_api(shop: World, server: ApiServer) -> None:
    shelf = ApiCall("Commerce", "Shop", "Shelf", {"name": "a"})
    calls = [item(1), item(2), item(3), shelf]
    record(shop, server, calls)
    server.answers["/items/1"] = (200, {"ok": 1, "new": 0})
    server.answers["/items/2"] = (404, {"gone": True})
    server.answers["/shelves/a/items"] = (200, {"ok": "else"})
    _, tape = record(shop, server, calls, refresh=True, workers=3)
    one, other = by_api(tape.drifts)
    assert (one.api, one.calls, one.breaking) == ("Commerce/Shop/Item", 2, 2)
    assert (one.status, one.gone, one.added) == ({(200, 404)}, {"$.ok"}, {"$.new", "$.gone"})
    assert one.retyped == {"$.ok: string -> number"}
    assert (other.api, other.breaking, other.values) == ("Commerce/Shop/Shelf", 0, {"$.ok"})
    console = Console(width=200, record=True)
    console.print(drift_table(tape.drifts))
    lines = [line for line in console.export_text().splitlines() if "Commerce/Shop" in line]
    assert len(lines) == 2


def test_a_changed_status_is_breaking(shop: World, server: ApiServer) -> None:
    record(shop, server, [item(1)])
    server.answers["/items/1"] = (404, {"ok": "/items/1"})
    _, tape = record(shop, server, [item(1)], refresh=True)
    assert tape.drifts[0].status == (200, 404)
    assert tape.drifts[0].breaking


def test_secrets_never_reach_the_tape_and_do_not_break_replay(
    shop: World, server: ApiServer
) -> None:
    server.answers["/items/1"] = (200, {"your key": KEY, "n": 1})
    record(shop, server, [item(1, api_key="my-private-value")])
    stored = b"".join(p.read_bytes() for p in shop.path.rglob("*") if p.is_file())
    for secret in (KEY, "my-private-value", "secret-cookie"):
        assert secret.encode() not in stored
    replayed = World(shop.path).call(item(1, api_key="somebody-else's"))
    assert replayed.body == {"your key": "REDACTED", "n": 1}


def test_a_key_in_any_argument_is_taken_out_on_both_sides(shop: World, server: ApiServer) -> None:
    asked = item(1, lang=f"fi {KEY}")
    record(shop, server, [asked])
    assert KEY.encode() not in shop_cassette(shop).read_bytes()
    assert KEY not in str(asked)
    assert World(shop.path).call(asked).status_code == 0
    assert World(shop.path).call(item(1, lang=f"fi {KEY.replace('0', '1')}")).status_code == 0
    outcomes, _ = record(shop, server, [asked])
    assert [outcome.result for outcome in outcomes] == ["kept"]


def test_secrets_in_path_body_and_echo_are_taken_out(shop: World, server: ApiServer) -> None:
    arguments = {"api_key": "S3cret/Path", "auth_token": "S3cretToken"}
    server.answers["/S3cret%2FPath/orders"] = (200, {"you sent": "S3cretToken"})
    record(shop, server, [ApiCall("Commerce", "Shop", "Secret path", arguments)])
    stored = b"".join(p.read_bytes() for p in shop.path.rglob("*") if p.is_file())
    assert server.requests[0][3] == '{"auth_token":"S3cretToken"}'
    assert b"S3cret" not in stored
    told = str(World(shop.path).unrecorded(ApiCall("", "Shop", "Secret path", arguments)))
    assert "S3cret" not in told


def test_only_allowed_hosts_are_called(shop: World, server: ApiServer) -> None:
    with pytest.raises(NetworkRefused, match=r"shop\.example is none of the hosts"):
        record(shop, server, [item(1)], hosts=frozenset({"other.example"}))
    assert not server.requests


@pytest.fixture
def local_shop(tmp_path: Path, server: ApiServer) -> World:
    """A world whose documents name the server's own address."""
    text = json.dumps({**SHOP, "host": "127.0.0.1"}).replace("https://shop.example", server.url)
    document = tmp_path / "local" / "tools" / "Commerce" / "shop.json"
    document.parent.mkdir(parents=True)
    document.write_text(text)
    return create_world(tmp_path / "local", "local", "made by a test")


def test_a_redirect_to_an_allowed_host_is_followed(local_shop: World, server: ApiServer) -> None:
    server.answers["/items/1"] = (301, "/moved/1?lang=fi")
    server.answers["/moved/1"] = (302, f"{server.url}/items/2")
    outcomes, _ = record(local_shop, server, [item(1)], via=None, hosts=HERE)
    assert outcomes[0].response.body == {"ok": "/items/2"}
    assert [path for _, path, _, _ in server.requests] == [
        "/items/1",
        "/moved/1?lang=fi",
        "/items/2",
    ]
    with network_shut(), vcr.use_cassette(str(shop_cassette(local_shop)), record_mode="none"):
        assert httpx.get(f"{server.url}/items/1").json() == {"ok": "/items/2"}


@pytest.mark.parametrize(("status", "then"), [(303, ("GET", "")), (307, ("POST", "same"))])
def test_a_redirected_body_travels_where_the_status_says(
    local_shop: World, server: ApiServer, status: int, then: tuple[str, str]
) -> None:
    server.answers["/orders"] = (status, "/later")
    order = ApiCall("Commerce", "Shop", "Order", {"items": [1], "gift": True})
    outcomes, _ = record(local_shop, server, [order], via=None, hosts=HERE)
    assert outcomes[0].response.body == {"ok": "/later"}
    (_, _, _, sent), (method, _, _, again) = server.requests
    assert (method, again) == (then[0], then[1] and sent)


@pytest.mark.parametrize("hosts", [HERE, HERE | {"other.example"}])
def test_a_redirect_to_another_host_is_the_answer(
    local_shop: World, server: ApiServer, hosts: frozenset[str]
) -> None:
    with api_server() as elsewhere:
        target = elsewhere.url.replace("127.0.0.1", "localhost") + "/take/your/key"
        server.answers["/items/1"] = (302, "/moved/1")
        server.answers["/moved/1"] = (307, target)
        outcomes, _ = record(local_shop, server, [item(1)], via=None, hosts=hosts)
        assert not elsewhere.requests
    assert outcomes[0].recording.response["status"]["code"] == 307
    assert outcomes[0].recording.response["headers"]["location"] == [target]


def test_a_redirect_is_followed_by_documented_host_where_all_are_reached_at_one_address(
    shop: World, server: ApiServer
) -> None:
    server.answers["/items/1"] = (302, "https://shop.example/items/2")
    outcomes, _ = record(shop, server, [item(1)], hosts=frozenset({"shop.example"}))
    assert outcomes[0].response.body == {"ok": "/items/2"}


def test_redirects_in_a_circle_end(local_shop: World, server: ApiServer) -> None:
    server.answers["/items/1"] = (302, "/items/1")
    outcomes, _ = record(local_shop, server, [item(1)], via=None, hosts=HERE)
    assert outcomes[0].recording.response["status"]["code"] == 302
    assert len(server.requests) == 6


def test_a_budget_ends_the_recording_and_keeps_what_was_made(
    shop: World, server: ApiServer
) -> None:
    calls = [item(n) for n in range(5)]
    with pytest.raises(BadInput, match="budget of 3 calls"):
        record(shop, server, calls, budget=3)
    assert len(read_cassette(shop_cassette(shop))) == 3
    outcomes, _ = record(shop, server, calls, budget=3)
    assert [o.result for o in outcomes] == ["kept"] * 3 + ["recorded"] * 2


def test_a_rate_limit_spaces_the_calls(shop: World, server: ApiServer) -> None:
    started = time.monotonic()
    record(shop, server, [item(n) for n in range(5)], rate=20.0, workers=4)
    assert time.monotonic() - started >= 4 * 0.05 - 0.02


def test_two_recorders_do_not_meet(shop: World, server: ApiServer) -> None:
    policy = LivePolicy(via=server.url)
    with (
        shop.recording(LiveClient(policy)),
        pytest.raises(BadInput, match="another process is recording"),
    ):
        record(shop, server, [item(1)])


def test_binary_answers_survive(shop: World, server: ApiServer) -> None:
    server.answers["/items/1"] = (200, b"\x89PNG\r\n\xff\x00")
    record(shop, server, [item(1)])
    [stored] = read_cassette(shop_cassette(shop))
    assert stored.response["body"]["string"] == b"\x89PNG\r\n\xff\x00"


def record_command(world: Path, url: str, *more: str) -> list[str]:
    program = [sys.executable, "-c", "from toolreplay.cli import main; main()", "record"]
    return [*program, str(world), "--via", url, "--calls", str(world.parent / "calls"), *more]


def test_killed_at_many_points_nothing_acknowledged_is_lost(shop: World, server: ApiServer) -> None:
    """Kill -9 while recording: every answered call is on disk, and each is made once or, where
    the kill fell between answer and journal, twice."""
    calls = [item(n) for n in range(60)]
    lines = "".join(json.dumps(call_line(c)) + "\n" for c in calls)
    (shop.path.parent / "calls").write_text(lines)
    server.delay = 0.004
    kills = 0
    while True:
        made = len(server.requests)
        process = subprocess.Popen(
            record_command(shop.path, server.url, "--workers", "2"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        while process.poll() is None and (
            kills >= 12 or len(server.requests) < made + 3 + kills % 4
        ):
            time.sleep(0.001)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
            process.communicate()
            readable = World(shop.path).store.counts()
            on_disk = readable[0]["recordings"] if readable else 0
            assert on_disk >= len(server.seen) - 2
        else:
            assert process.wait() == 0, process.communicate()[1].decode()
            break
    assert kills >= 8
    assert len(read_cassette(shop_cassette(shop))) == 60
    assert sum(n - 1 for n in server.seen.values()) <= 2 * kills
    killed = shop_cassette(shop).read_bytes()
    shop_cassette(shop).unlink()
    record(shop, server, calls)
    assert shop_cassette(shop).read_bytes() == killed


def test_the_command_line_records_and_reports_drift(shop: World, server: ApiServer) -> None:
    calls = "".join(json.dumps(call_line(item(n))) + "\n" for n in (1, 2))
    (shop.path.parent / "calls").write_text(calls)

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        command = record_command(shop.path, server.url, *more)
        return subprocess.run(command, capture_output=True, text=True, check=False)

    dry = run("--dry-run")
    assert "GET https://shop.example/items/2" in dry.stdout
    assert not server.requests
    assert "2 calls: 2 recorded" in run().stdout
    assert "2 calls: 2 kept" in run().stdout
    server.answers["/items/2"] = (200, [])
    refreshed = run("--refresh", "--fail-on-breaking", "--json")
    assert refreshed.returncode == 1
    told = json.loads(refreshed.stdout)
    assert told["results"] == {"changed": 1, "kept": 2, "unchanged": 1}
    assert told["drift"][0]["gone"] == ["$.ok"]
    assert told["drift"][0]["added"] == ["$"]


def test_calls_whose_secret_is_not_stored_are_not_made_without_it(
    shop: World, server: ApiServer
) -> None:
    record(shop, server, [item(1), item(2, api_key="a-real-key")])
    before = shop_cassette(shop).read_bytes()
    calls = shop.path.parent / "calls"
    calls.write_text(json.dumps(call_line(item(3, api_key="REDACTED"))) + "\n")
    command = record_command(shop.path, server.url, "--refresh", "--json")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["results"] == {"kept": 2, "unchanged": 1}
    assert "2 of 3 calls are not made" in done.stderr
    assert server.seen == {"/items/1": 2, "/items/2": 1}
    assert shop_cassette(shop).read_bytes() == before

    replayed = World(shop.path)
    with replayed.recording(LiveClient(LivePolicy(via=server.url)), refresh=True):
        assert replayed.call(item(2, api_key="REDACTED")).provenance == "recorded"
    assert server.seen["/items/2"] == 1


def test_a_search_records_what_is_new_and_then_runs_offline(
    shop: World, server: ApiServer, tmp_path: Path
) -> None:
    put_on_tape(
        shop,
        "s/1",
        [
            call("item_for_shop", {"is_id": 5}),
            call("item_for_shop", "{broken"),
            answer("It is there."),
            GIVE_UP,
        ],
    )
    api_list = [{"category_name": "Commerce", "tool_name": "Shop", "api_name": "Item"}]
    queries = tmp_path / "s.json"
    queries.write_text(json.dumps([{"query": "?", "query_id": 1, "api_list": api_list}]))
    policy = LivePolicy(via=server.url)
    for mode, provenance in (("live", "live"), ("replay", "recorded"), ("refresh", "live")):
        out = tmp_path / mode
        list(solve(queries, World(shop.path), out, mode=mode, policy=policy))  # type: ignore[arg-type]
        content = json.loads((out / "answers/s/1_DFS_woFilter_w2.json").read_text())
        assert next(steps(content))[1]["provenance"] == provenance
        assert "Tool input parse error" in json.dumps(content["tree"])
    assert server.seen == {"/items/5": 2}


@pytest.mark.parametrize(("status", "result"), [(401, "unauthorised"), (403, "recorded")])
def test_a_refused_key_is_no_answer_of_the_api(
    shop: World, server: ApiServer, status: int, result: str
) -> None:
    server.answers["/items/1"] = (status, {"message": "You are not subscribed to this API."})
    outcomes, _ = record(shop, server, [item(1)])
    assert [o.result for o in outcomes] == [result]
    assert server.seen["/items/1"] == 1
    assert shop_cassette(shop, transient=result == "unauthorised").exists()
    server.answers.clear()
    again, _ = record(shop, server, [item(1)])
    assert again[0].result == ("recorded" if result == "unauthorised" else "kept")


def test_a_refresh_with_a_refused_key_leaves_the_tape(shop: World, server: ApiServer) -> None:
    record(shop, server, [item(1)])
    before = shop_cassette(shop).read_bytes()
    server.answers["/items/1"] = (401, {"message": "Invalid API key"})
    _, tape = record(shop, server, [item(1)], refresh=True, key="wrong")
    assert tape.results == {"unauthorised": 1}
    assert [drift.status for drift in tape.drifts] == [(200, 401)]
    assert shop_cassette(shop).read_bytes() == before


def test_a_search_without_a_key_stops_at_the_first_refusal(shop: World, server: ApiServer) -> None:
    server.answers["/items/1"] = (401, {"message": "Invalid API key"})
    opened = World(shop.path)
    keyless = LiveClient(LivePolicy(via=server.url))
    refused = pytest.raises(BadInput, match=r"HTTP 401 without a key\. Give .* RAPIDAPI_KEY")
    with opened.recording(keyless), refused:
        opened.call(item(1))
    with opened.recording(LiveClient(LivePolicy(via=server.url))):
        assert opened.call(item(2)).status_code == 0
        assert opened.call(item(1)).status_code == 7
    with opened.recording(LiveClient(LivePolicy(via=server.url, key="wrong"))):
        assert opened.call(item(1)).status_code == 7


@pytest.mark.parametrize(
    ("via", "code", "told"),
    [
        (None, 1, "1 calls without an answer: failed: HTTP 401 Unauthorized"),
        ("http://127.0.0.1:1", 1, "1 calls without an answer: no answer: [Errno 111]"),
        ("nonsense", 2, "--via nonsense: no address"),
    ],
)
def test_the_command_line_says_why_nothing_was_recorded(
    shop: World, server: ApiServer, via: str | None, code: int, told: str
) -> None:
    server.answers["/items/1"] = (401, {"message": "Invalid API key"})
    (shop.path.parent / "calls").write_text(json.dumps(call_line(item(1))) + "\n")
    command = record_command(shop.path, via or server.url)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert told in " ".join(done.stderr.split())
    assert ("Give the right key" in done.stderr) == (via is None)


@pytest.mark.parametrize("fault", ["no key", "nobody there"])
def test_a_probe_that_reaches_nothing_drops_nothing(
    shop: World, server: ApiServer, fault: str
) -> None:
    document = shop.path / "tools" / "Commerce" / "shop.json"
    whole = json.loads(document.read_text())
    whole["api_list"] = [
        {"name": n, "method": "GET", "url": f"https://{host}.example/{n}"}
        for n, host in (("a", "shop"), ("b", "shop"), ("c", "elsewhere"))
    ]
    document.write_text(json.dumps(whole))
    server.answers |= {f"/{n}": (401, {"message": "Invalid API key"}) for n in ("a", "b")}
    via = server.url if fault == "no key" else "http://127.0.0.1:1"
    here = ("--via", via, "--host", "shop.example")
    done = toolreplay("probe", shop.path, "--drop", *here)
    told = " ".join(done.stderr.split())
    if fault == "no key":
        assert done.returncode == 0
        assert "2 APIs are kept without a judgement: failed: HTTP 401" in told
    else:
        assert done.returncode == 2
        assert "None of 2 APIs answered (2 times: no answer: [Errno 111]" in told
    assert "0 of 3 APIs are worth keeping" in done.stdout
    assert json.loads(document.read_text()) == whole


def test_a_refresh_that_is_refused_here_and_there_is_red(shop: World, server: ApiServer) -> None:
    record(shop, server, [item(1), item(2)])
    before = shop_cassette(shop).read_bytes()
    server.answers["/items/2"] = (401, {"message": "Invalid API key"})
    (shop.path.parent / "calls").write_text("")
    command = record_command(shop.path, server.url, "--refresh", "--fail-on-breaking", "--json")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["results"] == {"unauthorised": 1, "unchanged": 1}
    assert told["drift"][0]["status"] == [200, 401]
    assert shop_cassette(shop).read_bytes() == before


def test_a_recording_that_stops_early_says_what_failed(shop: World, server: ApiServer) -> None:
    server.answers |= {f"/items/{n}": (401, {"message": "Invalid API key"}) for n in range(3)}
    lines = "".join(json.dumps(call_line(item(n))) + "\n" for n in range(3))
    (shop.path.parent / "calls").write_text(lines)
    command = record_command(shop.path, server.url, "--budget", "2", "--workers", "1")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "budget of 2 calls" in done.stderr
    assert "2 calls without an answer: failed: HTTP 401" in " ".join(done.stderr.split())
