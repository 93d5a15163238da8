"""One run, or several against the first, as a page: one HTML file that asks nobody for anything."""

from .document import MissingExtraError, render_page, require_extra
from .runs import PageRun

__all__ = ["MissingExtraError", "PageRun", "render_page", "require_extra"]
