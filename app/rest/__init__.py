"""The parts that the apps' APIs share: field types with limits, bodies, pages by key, documentation of errors."""

from rest.bodies import MAX_PROBLEMS, SHAPES, OneOrMany, RequestBody
from rest.documents import PROBLEM
from rest.fields import BodyKey, Day, Key, Moment, Text
from rest.pages import Cursor, Page, Rows, page

__all__ = [
    "MAX_PROBLEMS",
    "PROBLEM",
    "SHAPES",
    "BodyKey",
    "Cursor",
    "Day",
    "Key",
    "Moment",
    "OneOrMany",
    "Page",
    "RequestBody",
    "Rows",
    "Text",
    "page",
]
