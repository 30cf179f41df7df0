"""A web server that starts a child process, as MLflow's does; run as a module.

It listens on the port that its argument names, and fails at a request for /fail, or at once if the
port is 0.
"""

import http.server
import os
import subprocess
import sys


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/fail":
            _fail()
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """Logs nothing."""


def main() -> None:
    port = int(sys.argv[1])
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    print("listening beside", sleeper.pid, flush=True)
    if port == 0:
        _fail()
    http.server.HTTPServer(("127.0.0.1", port), _Handler).serve_forever()


def _fail() -> None:
    print("no more memory", flush=True)
    os._exit(3)


if __name__ == "__main__":
    main()
