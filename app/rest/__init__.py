"""The parts that the apps' APIs share: field types with limits, pages by key, and the documentation of errors."""

from rest.documents import PROBLEM
from rest.fields import SHAPES, BodyKey, Day, Key, Moment, OneOrMany, Text
from rest.pages import Cursor, Page, Rows, page

__all__ = [
    "PROBLEM",
    "SHAPES",
    "BodyKey",
    "Cursor",
    "Day",
    "Key",
    "Moment",
    "OneOrMany",
    "Page",
    "Rows",
    "Text",
    "page",
]
