"""Visdom's server for the pages of this machine only, with the scripts that its page needs.

Run as a module, with Visdom's flags. Visdom itself downloads these scripts at its first start.
"""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tornado.web import HTTPError, StaticFileHandler
from visdom.server import run_server
from visdom.server.app import tornado_settings
from visdom.server.handlers.base_handlers import BaseHandler, BaseWebSocketHandler

from expt.servers.network import is_local

_SCRIPTS = Path(__file__).parent / "vendor" / "visdom"


def main() -> None:
    """Serves until the process is stopped."""
    tornado_settings["static_handler_class"] = _StaticFiles
    tornado_settings["autoreload"] = False  # Visdom turns on tornado's debug mode, which has it
    for handler in (BaseHandler, BaseWebSocketHandler):
        handler.prepare = _refuse_other_sites
    run_server.main()


class _StaticFiles(StaticFileHandler):  # type: ignore[misc]
    """The files of Visdom's package, and the scripts that it lacks."""

    @classmethod
    def get_absolute_path(cls, root: str, path: str) -> str:
        """Returns the path of a file in the package, if it exists there, else in `vendor/`."""
        own: str = super().get_absolute_path(root, path)
        return own if os.path.exists(own) else str(super().get_absolute_path(str(_SCRIPTS), path))  # noqa: PTH110

    def validate_absolute_path(self, root: str, absolute_path: str) -> str | None:
        """Refuses paths outside of both folders."""
        if Path(absolute_path).is_relative_to(_SCRIPTS):
            root = str(_SCRIPTS)
        path: str | None = super().validate_absolute_path(root, absolute_path)
        return path


def _refuse_other_sites(handler: Any) -> None:
    """Refuses requests of pages of other sites, since Visdom accepts those of any site.

    Such a page could write to a server on localhost, and after DNS rebinding, which makes the
    site's name stand for this machine, also read from it.

    Raises:
        HTTPError: The host is not a name of this machine, or the page's origin is another server.
    """
    host, origin = handler.request.host, handler.request.headers.get("Origin")
    is_same = origin is None or urlsplit(origin).netloc == host
    if not (is_same and is_local(urlsplit(f"//{host}").hostname or "")):
        raise HTTPError(403)


if __name__ == "__main__":
    main()
