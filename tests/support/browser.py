"""Debian's Chromium without a window, driven as by a person: by keys, and what can be seen."""

import shutil
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.support.process import PATIENCE_S

BROWSER, DRIVER = "chromium", "chromedriver"
INSTALL = "apt-get install chromium chromium-driver"


def is_there() -> bool:
    """Tell whether there is a browser, and what drives it."""
    return all(shutil.which(each) for each in (BROWSER, DRIVER))


class Browser:
    """One window."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        """Drive it by `driver`."""
        self.driver = driver

    def open(self, url: str) -> None:
        """Go to a page."""
        self.driver.get(url)

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a script does in the page."""
        return self.driver.execute_script(script, *arguments)

    def tell(self, command: str, **parameters: Any) -> Any:
        """Return what the browser answers to a command of its own protocol."""
        return self.driver.execute_cdp_cmd(command, parameters)

    def text(self, selector: str) -> str:
        """Return the text of the first element that is selected."""
        return str(self.run("return document.querySelector(arguments[0]).textContent", selector))

    def texts(self, selector: str) -> list[str]:
        """Return the text of every element that is selected."""
        script = "return [...document.querySelectorAll(arguments[0])].map((it) => it.textContent)"
        return list(self.run(script, selector))

    def count(self, selector: str) -> int:
        """Return how many elements are selected."""
        return int(self.run("return document.querySelectorAll(arguments[0]).length", selector))

    def until(self, holds: Callable[[], Any], what: str) -> None:
        """Wait until `holds()`; fail with `what` was waited for."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, f"in vain: {what}; {self.text('body')[:2000]}"
            time.sleep(0.02)

    def press(self, *keys: str) -> None:
        """Press keys, or write a text."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def overwrite(self, text: str) -> None:
        """Write a text in place of all that stands where the focus is."""
        chain = ActionChains(self.driver).key_down(Keys.CONTROL).send_keys("a")
        chain.key_up(Keys.CONTROL).send_keys(text).perform()

    def focused(self) -> str:
        """Return the id of what has the focus, else its tag."""
        return str(self.run("const it = document.activeElement; return it.id || it.localName"))

    def tab_to(self, wanted: str, most: int = 60) -> None:
        """Press the tabulator until the element of this id, or else tag, has the focus."""
        for _ in range(most):
            self.press(Keys.TAB)
            if self.focused() == wanted:
                return
        raise AssertionError(f"no way to {wanted} by the tabulator")

    def prefer(self, **features: str) -> None:
        """Set what the reader prefers, as `prefers_color_scheme="dark"`, and nothing else."""
        told = [{"name": key.replace("_", "-"), "value": value} for key, value in features.items()]
        self.tell("Emulation.setEmulatedMedia", features=told)

    def resize(self, width: int, height: int = 900) -> None:
        """Make the page so wide, in CSS pixels."""
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def roles(self) -> list[tuple[str, str]]:
        """Return role and name of all that the accessibility tree shows, in its order."""
        nodes = self.tell("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node["ignored"]
        ]

    def complaints(self) -> list[str]:
        """Return what was said on the console of scripts that failed and of what was forbidden."""
        told = (str(each["message"]) for each in self.driver.get_log("browser"))  # type: ignore[no-untyped-call]
        words = ("Uncaught", "Content Security Policy", "Trusted", "Refused to")
        return [each for each in told if any(word in each for word in words)]

    def photograph(self, path: Path, of: str = "body", most: int = 2_000) -> None:
        """Write a WebP of the element that is selected, at most so many CSS pixels high."""
        script = "return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()"
        self.run("scrollTo(0, 0)")
        place = self.run(script, of)
        clip = {name: place[name] for name in ("x", "y", "width")}
        clip |= {"height": min(place["height"], most), "scale": 1}
        told = self.tell(
            "Page.captureScreenshot",
            format="webp",
            quality=80,
            captureBeyondViewport=True,
            clip=clip,
        )
        path.write_bytes(b64decode(told["data"]))


@contextmanager
def browsing() -> Iterator[Browser]:
    """Open a browser, and close it at the end."""
    options = Options()
    options.binary_location = shutil.which(BROWSER) or ""
    for each in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{each}")  # root has no sandbox, containers little of /dev/shm
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(shutil.which(DRIVER)))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
