"""A real headless Chromium, driven over its DevTools pipe: no driver, no port, no library.

Source: https://chromedevtools.github.io/devtools-protocol/; with ``--remote-debugging-pipe``
messages are JSON ended by NUL, read by the browser from descriptor 3 and written to 4.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

TIME_LIMIT_S = 60


class Browser:
    """A browser with a profile of its own; leave the ``with`` block to end it."""

    def __init__(self, profile: Path) -> None:
        self.profile = profile
        self.events: list[dict[str, Any]] = []
        self._last_id = 0
        self._received = b""

    def __enter__(self) -> Browser:
        assert CHROMIUM is not None
        to_browser, self._to_browser = os.pipe()
        self._from_browser, from_browser = os.pipe()
        options = (
            f"--headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run "
            f"--hide-scrollbars --remote-debugging-pipe --user-data-dir={self.profile}"
        )
        script = f'exec "$0" {options} 3</dev/fd/{to_browser} 4>/dev/fd/{from_browser}'
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", script, CHROMIUM],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.call("Browser.close")
        try:
            self._process.wait(TIME_LIMIT_S)
        finally:
            self._process.kill()
            os.close(self._to_browser)
            os.close(self._from_browser)

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send a command and return its result; events that come meanwhile are kept."""
        self._last_id += 1
        message: dict[str, Any] = {"id": self._last_id, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self._to_browser, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._last_id:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def wait_for(self, method: str, session: str, *, after: int) -> None:
        """Wait for an event that comes ``after`` so many others."""
        while not any(
            event.get("method") == method and event.get("sessionId") == session
            for event in self.events[after:]
        ):
            self.events.append(self._receive())

    def _receive(self) -> dict[str, Any]:
        limit = time.monotonic() + TIME_LIMIT_S
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._from_browser], [], [], limit - time.monotonic())
            assert ready, f"chromium said nothing for {TIME_LIMIT_S} s"
            received = os.read(self._from_browser, 1 << 20)
            assert received, "chromium is gone"
            self._received += received
        message, _, self._received = self._received.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def open(
        self, url: str, *, width: int = 1400, dark: bool = False, scripts: bool = True
    ) -> Page:
        """Load a page in a window ``width`` pixels wide."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, target, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        page.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=1000,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.call("Emulation.setEmulatedMedia", features=[scheme])
        before = len(self.events)
        page.call("Page.navigate", url=url)
        self.wait_for("Page.loadEventFired", session, after=before)
        return page


class Page:
    """One page."""

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self._browser = browser
        self._target = target
        self._session = session

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript, awaited."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def screenshot(self) -> bytes:
        """Return the whole page as a PNG."""
        self.call("Page.bringToFront")  # a page in the background is not painted
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    def close(self) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)

    @property
    def requests(self) -> list[str]:
        """Every URL that the page asked for."""
        return [
            event["params"]["request"]["url"] for event in self._said("Network.requestWillBeSent")
        ]

    @property
    def complaints(self) -> list[str]:
        """Errors of scripts, and what the console and the policy complained of."""
        thrown = [json.dumps(event["params"]) for event in self._said("Runtime.exceptionThrown")]
        logged = [event["params"]["entry"]["text"] for event in self._said("Log.entryAdded")]
        return thrown + logged

    def _said(self, method: str) -> list[dict[str, Any]]:
        return [
            event
            for event in self._browser.events
            if event.get("method") == method and event.get("sessionId") == self._session
        ]
