"""How a view's document names the answer that all errors share; the API's own document holds what it is."""

PROBLEM = {"$ref": "#/components/responses/Problem"}
"""A problem (RFC 9457), for `openapi_extra={"responses": {status: PROBLEM}}`."""
