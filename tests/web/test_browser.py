"""The page in a real browser: alerts as they come, outages, hostile names, ten thousand trucks, a phone."""

import json
import time
from collections.abc import Iterator

import pytest

import web_fleet as fleet
from broker import MOSQUITTO, Broker
from chromium import CHROMIUM
from tickover.core.values import SECOND, Phase
from tickover.host.clock import now_us
from web_process import Publisher, WebProcess

pytest.importorskip("starlette", reason="the page needs the extra web")
api = pytest.importorskip("playwright.sync_api", reason="tests of the page need playwright")

HOSTILE = '<img src=x onerror=document.title="pwned">'
PHONE = {"width": 390, "height": 844}


class World:
    """A broker, a page, a browser, and who publishes."""

    def __init__(self, broker: Broker, web: WebProcess, browser: "api.Browser") -> None:
        self.broker, self.web, self.browser = broker, web, browser
        self.publisher = Publisher(broker)

    def open(self, path: str = "/", **options: object) -> "api.Page":
        page = self.browser.new_context(**options).new_page()
        page.set_default_timeout(15_000)
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("console", lambda line: page.errors.append(line.text) if line.type == "error" else None)
        page.goto(self.web.url + path)
        return page

    def send(self, vehicle: str, what: str, payload: bytes, retain: bool = False) -> None:
        self.publisher.send(vehicle, what, payload, retain)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if MOSQUITTO is None or CHROMIUM is None:
        pytest.skip("needs mosquitto and chromium (apt install mosquitto chromium)")
    with Broker(tmp_path_factory.mktemp("broker")) as broker, api.sync_playwright() as playwright:
        web = WebProcess(broker, tmp_path_factory.mktemp("web") / "state").start()
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield World(broker, web, browser)
        browser.close()
        web.kill()


def test_an_empty_fleet_says_what_to_do_next_and_an_alert_is_on_the_list_at_once(world: World) -> None:
    page = world.open()
    page.get_by_text("No truck has been heard yet").wait_for()
    page.get_by_text("tickover doctor").wait_for()
    world.send("van-1", "status", fleet.status(), retain=True)
    page.locator(".row .name", has_text="van-1").wait_for()
    began = time.monotonic()
    world.send("van-1", "alert/anomaly", fleet.event("van-1", Phase.START, now_us(), start=now_us()))
    page.locator(".row .severity.major").wait_for()
    took = time.monotonic() - began
    assert took < 5, f"{took:.2f} s; bench_web measures it on an idle machine"
    page.locator(".row", has_text="van-1").click()
    page.locator("table.episodes a").first.click()
    page.get_by_role("heading", name="coolant_temp high").wait_for()
    page.get_by_text("SPN 110, FMI 16").wait_for()
    page.locator(".plot canvas").nth(1).wait_for()
    assert page.errors == []


def test_what_a_person_says_is_kept_by_keyboard_and_button(world: World) -> None:
    page = world.open()
    world.send("van-0", "status", fleet.status())
    world.send("van-2", "alert/anomaly", fleet.event("van-2", Phase.START, now_us(), start=now_us(), peak=1.5))
    page.locator(".row", has_text="van-2").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("van-2")
    page.get_by_text("1 of").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.locator("table.episodes a").first.click()
    page.locator(".actions").wait_for()
    page.locator("#who").fill("eve")
    page.locator("h1").click()
    page.keyboard.press("a")
    page.get_by_role("button", name="Acknowledged").wait_for()
    page.get_by_role("button", name="Mute…").click()
    page.get_by_role("button", name="Mute", exact=True).click()
    assert page.locator("dialog").is_visible(), "a mute needs a reason"
    page.locator("dialog input").fill("in the workshop <b>today</b>")
    page.get_by_role("button", name="Mute", exact=True).click()
    page.get_by_text("by eve: in the workshop <b>today</b>").first.wait_for()
    page.keyboard.press("2")
    page.get_by_role("button", name="Keep verdict").click()
    page.get_by_text("verdict: false by eve").or_(page.locator("li", has_text="verdict: false")).first.wait_for()
    page.goto(world.web.url + "/?q=van-2")
    page.locator(".row .tag", has_text="1 seen to").wait_for()
    assert page.errors == []


def test_the_broker_goes_and_comes_back(world: World) -> None:
    page = world.open()
    page.locator("#link.good").wait_for()
    world.broker.kill()
    page.get_by_text("What you see is as it was then").wait_for()
    world.broker.start()
    page.locator("#link.good").wait_for()
    world.publisher.close()
    world.publisher = Publisher(world.broker)
    world.send("back-again", "status", fleet.status())
    page.locator(".row .name", has_text="back-again").wait_for()


def test_the_page_goes_on_after_its_server_was_restarted(world: World) -> None:
    world.send("van-1", "status", fleet.status())
    page = world.open("/?q=van-1")
    page.locator(".row", has_text="van-1").wait_for()
    world.web.kill()
    page.get_by_text("The server of this page is not reached").wait_for()
    world.web.start()
    world.send("van-17", "status", fleet.status())
    page.locator(".row", has_text="van-17").wait_for()
    assert page.locator("#search").input_value() == "van-1"


def test_names_and_texts_from_the_broker_are_never_html(world: World) -> None:
    world.send(HOSTILE, "status", fleet.status())
    world.send(HOSTILE, "info", fleet.info(HOSTILE))
    world.send(HOSTILE, "health", fleet.health(now_us(), **{HOSTILE: HOSTILE}))
    at = now_us()
    world.send(
        HOSTILE, "alert/anomaly", fleet.event(HOSTILE, Phase.START, at, start=at, unit="<script>alert(1)</script>")
    )
    page = world.open("/?q=onerror")
    page.locator(".row .name", has_text="<img src=x").wait_for()
    page.locator(".row").last.click()
    page.locator("table.episodes a").first.wait_for()
    page.locator("h1", has_text=HOSTILE).wait_for()
    page.locator("table.episodes a").first.click()
    page.get_by_text("<script>alert(1)</script>").first.wait_for()
    assert page.locator("img").count() == 0
    assert "pwned" not in page.title().replace(HOSTILE, "")
    assert page.errors == []


def test_ten_thousand_trucks_are_a_list_that_scrolls(world: World) -> None:
    for number in range(10_000):
        world.send(f"fleet-{number:05}", "score", fleet.score(number / 20_000))
    world.publisher.drain()
    page = world.open("/?sort=name&q=fleet-")
    page.get_by_text("10,000 of").wait_for(timeout=30_000)
    assert page.locator(".spacer .row").count() < 60, "only the rows in view are in the document"
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.locator(".row .name", has_text="fleet-09999").wait_for()
    page.locator("#search").fill("fleet-07777")
    page.get_by_text("1 of").wait_for()
    assert page.errors == []


def test_on_a_phone_nothing_is_wider_than_the_screen(world: World) -> None:
    world.send("van-1", "alert/anomaly", fleet.event("van-1", Phase.START, now_us(), start=now_us()))
    page = world.open("/?q=van-1", viewport=PHONE, color_scheme="dark")
    page.locator(".row .name", has_text="van-1").first.wait_for()
    episode = world.web.get("/api/truck?name=van-1")["episodes"][0]["id"]
    for view, shown in (
        ("/", ".row .name"),
        ("/?truck=van-1", "h1"),
        ("/?episodes", "h1"),
        (f"/?episode={episode}", ".actions"),
    ):
        page.goto(world.web.url + view)
        page.locator(shown).first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], view
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.errors == []


def test_a_truck_is_asked_for_its_signals_while_somebody_looks(world: World) -> None:
    asked: list[dict] = []
    topic = "tickover/v1/live-1/cmd/snapshot"
    tick = now_us()

    def answer(client: object, data: object, message: object) -> None:
        request = json.loads(message.payload)  # type: ignore[attr-defined]
        asked.append(request)
        signals = {
            "oil_temp": {"observed": 101.5 + len(asked), "expected": 99.0},
            "rpm": {"observed": 800.0, "expected": None},
        }
        ticks = {"anomaly": {"time": tick + len(asked) * SECOND, "score": 0.4, "open": False, "signals": signals}}
        body = {"command": "snapshot", "id": request["id"], "ok": True, "result": {"live-1": ticks}}
        daemon.publish(f"{topic}/response", json.dumps(body), 1)

    daemon = world.broker.client()
    daemon.on_message = answer
    daemon.subscribe(f"{topic}/request", 1)
    world.send("live-1", "status", fleet.status())
    world.publisher.drain()
    page = world.open("/?truck=live-1")
    page.locator(".panelbox h3", has_text="oil_temp").wait_for()
    page.locator(".panelbox canvas").nth(2).wait_for()
    page.get_by_text("newest tick").wait_for()
    assert page.errors == []
    page.context.close()
    daemon.disconnect()
    daemon.loop_stop()
