"""Additions to the API's OpenAPI document: the token, and the problems that any path may answer with."""

from typing import Any

from ninja.openapi.schema import OpenAPISchema

from config.problems import CONTENT_TYPE, FieldProblem, Problem
from rest import PROBLEM

ANYWHERE = (400, 401, 405, 500, 503)


def complete(document: OpenAPISchema) -> OpenAPISchema:
    """Add the token and the problems to every operation of the document that ninja made."""
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    document["components"] |= {
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        "responses": {
            "Problem": {"description": "An error (RFC 9457).", "content": {CONTENT_TYPE: {"schema": schema}}}
        },
    }
    for model in (Problem, FieldProblem):
        described = model.model_json_schema(ref_template="#/components/schemas/{model}")
        document["components"]["schemas"][model.__name__] = {k: v for k, v in described.items() if k != "$defs"}
    document["security"] = [{"token": []}]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status in _problems_of(path, operation):
                operation["responses"].setdefault(status, PROBLEM)
    return document


def _problems_of(path: str, operation: dict[str, Any]) -> tuple[int, ...]:
    takes_body = "requestBody" in operation
    return (
        *ANYWHERE,
        *((404,) if "{" in path else ()),
        *((411, 413, 415) if takes_body else ()),
        *((422,) if takes_body or operation["parameters"] else ()),
    )
