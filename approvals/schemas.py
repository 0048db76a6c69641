"""Arguments that a person edited, against the JSON Schema of the tool."""

from typing import Any

from approvals.digest import ArgumentsError


def check_schema(arguments: dict[str, Any], schema: dict[str, Any] | None) -> None:
    """Raise ArgumentsError, naming the place, unless the arguments are what the tool takes."""
    if schema is None:
        return
    from jsonschema import Draft202012Validator  # a tenth of what a process loads, and most never need it
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema).iter_errors(arguments))
    if error is not None:
        place = "/".join(map(str, error.absolute_path))
        raise ArgumentsError(f"{place}: {error.message}" if place else error.message)
