"""Starting the dashboard and stopping it."""

from __future__ import annotations

import threading
import webbrowser
from pathlib import Path

from pilothouse.dashboard.app import make_app
from pilothouse.dashboard.view import House
from pilothouse.serving.listening import Listener

CONNECTIONS, IDLE_S, GRACE_S = 256, 60.0, 2.0


class Dashboard:
    """A dashboard that listens from the moment it is made and answers once it runs.

    Args:
        root: the folder of runs.
        host: address to listen at.
        port: port; 0 takes any free one.

    Raises:
        RunError: the folder is missing, or is itself a run.
        ConfigError: the address is taken or is none of this machine's.
    """

    def __init__(self, root: Path, host: str = "127.0.0.1", port: int = 6061) -> None:
        self.house = House(root)
        self.listener = Listener(
            make_app(self.house, host), host, port, connections=CONNECTIONS, idle_s=IDLE_S, grace_s=GRACE_S
        )

    @property
    def url(self) -> str:
        """The address to open."""
        return f"{self.listener.address}/"

    def prepare(self, most_s: float = 5.0) -> None:
        """Begin to read what pages show, so that none of them is slow for being the first.

        Args:
            most_s: seconds to wait for every run's summary; the methods, which take longer to load, are not waited for.
        """
        read = threading.Event()
        threading.Thread(target=self.house.warm, args=(read,), daemon=True).start()
        read.wait(most_s)

    def run(self, open_browser: bool = False) -> None:
        """Serve until stopped.

        Args:
            open_browser: show the first page in the user's browser.
        """
        if open_browser:
            threading.Thread(target=webbrowser.open, args=(self.url,), daemon=True).start()
        self.listener.run()

    def stop(self) -> None:
        """Let ``run`` return."""
        self.listener.stop()
