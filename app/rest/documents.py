"""The reference from a view's OpenAPI document to the one response that all errors share (config/openapi.py)."""

PROBLEM = {"$ref": "#/components/responses/Problem"}
"""A reference to the problem response (RFC 9457), for `openapi_extra={"responses": {status: PROBLEM}}`."""
