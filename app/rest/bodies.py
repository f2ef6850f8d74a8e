"""Schemas of request bodies. Validation stops soon after `MAX_PROBLEMS`, however many wrong values a body has."""

from itertools import islice
from typing import Annotated, Any, Self

from ninja import Schema
from pydantic import ConfigDict, Discriminator, Field, Tag, ValidationError, ValidatorFunctionWrapHandler
from pydantic.functional_validators import ModelWrapValidatorHandler, WrapValidator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

MAX_PROBLEMS = 100
"""The most problems that an error answer shows. Validation finds more than these only to know that there are more."""


class RequestBody(Schema):
    """A schema that refuses unknown fields, at most `MAX_PROBLEMS` + 1 of them."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _drop_surplus_fields(cls, data: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        known = cls.model_fields
        if isinstance(data, dict) and len(data) > MAX_PROBLEMS + len(known):
            unknown = islice((name for name in data if name not in known), MAX_PROBLEMS + 1)
            data = {name: data[name] for name in (*filter(data.__contains__, known), *unknown)}
        return validate(data)


def _validate_list(items: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Validate a list up to its first wrong item, then go on behind that item until there are enough problems."""
    try:
        return validate(items)
    except ValidationError as error:
        problems = _problems(error, 0)
    while len(problems) <= MAX_PROBLEMS and (rest := _behind(problems[-1], items)):
        try:
            validate(rest)
        except ValidationError as error:
            problems += _problems(error, len(items) - len(rest))
        else:
            break
    raise ValidationError.from_exception_data("list", problems)


def _behind(problem: InitErrorDetails, items: list[Any]) -> list[Any]:
    """Return the items behind the one that has the problem; none if the problem is about the whole list."""
    place = problem.get("loc", ())
    return items[int(place[0]) + 1 :] if place else []


def _problems(error: ValidationError, first: int) -> list[InitErrorDetails]:
    """Return the problems of the items from the index `first` on, each with its index in the whole list."""
    return [
        InitErrorDetails(
            type=PydanticCustomError("wrong_item", "{message}", {"message": found["msg"]}),
            loc=(int(found["loc"][0]) + first, *found["loc"][1:]) if found["loc"] else (),
            input=None,
        )
        for found in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _shape(body: Any) -> str:
    return MANY if isinstance(body, list) else ONE


# Pydantic adds the tag of the chosen shape to an error's `loc`. The parentheses keep the tags apart from JSON names.
ONE, MANY = "(one)", "(many)"
SHAPES = frozenset({ONE, MANY})
type OneOrMany[Item] = Annotated[
    Annotated[Item, Tag(ONE)]
    | Annotated[
        list[Item],
        Field(min_length=1, max_length=1000, fail_fast=True),
        WrapValidator(_validate_list),
        Tag(MANY),
    ],
    Discriminator(_shape),
]
