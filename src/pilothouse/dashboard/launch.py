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

    def run(self, open_browser: bool = False) -> None:
        """Serve until stopped; what pages read is read beforehand on a thread of its own.

        Args:
            open_browser: show the first page in the user's browser.
        """
        threading.Thread(target=self.house.warm, daemon=True).start()
        if open_browser:
            threading.Thread(target=webbrowser.open, args=(self.url,), daemon=True).start()
        self.listener.run()

    def stop(self) -> None:
        """Let ``run`` return."""
        self.listener.stop()
