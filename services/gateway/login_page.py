"""The login form as a page, with the reason why the last try failed."""

import html
import math
from pathlib import Path

from aiohttp import web

from services.gateway.errors import HttpError, InvalidRequest, Unauthorized
from services.gateway.pages import FOLDER

PLACE = "<!--error-->"
FAILED_LOGIN = (Unauthorized, InvalidRequest)
"""Answered with 200, as clients of the replaced program expect."""


class LoginPage:
    """The page's text, read once."""

    def __init__(self, text: str) -> None:
        self._text = text

    def fresh(self) -> web.Response:
        """The form."""
        return self._page("", 200)

    def refused(self, error: HttpError) -> web.Response:
        """The form with the reason."""
        response = self._page(_paragraph(error), 200 if isinstance(error, FAILED_LOGIN) else error.status)
        if error.retry_after is not None:
            response.headers["Retry-After"] = str(math.ceil(error.retry_after))
        return response

    def _page(self, error: str, status: int) -> web.Response:
        return web.Response(
            text=self._text.replace(PLACE, error),
            status=status,
            content_type="text/html",
            charset="utf-8",
        )


def read_login_page(folder: Path = FOLDER) -> LoginPage:
    """The page among the others."""
    return LoginPage((folder / "login.html").read_text(encoding="utf-8"))


def _paragraph(error: HttpError) -> str:
    code = "bad_credentials" if isinstance(error, Unauthorized) else error.code
    seconds = f' data-seconds="{math.ceil(error.retry_after)}"' if error.retry_after is not None else ""
    return f'<p class="error" role="alert" data-code="{code}"{seconds}>{html.escape(str(error))}</p>'
