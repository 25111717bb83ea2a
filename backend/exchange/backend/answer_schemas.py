"""The shapes of answers as JSON schemas."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import msgspec

Shapes: TypeAlias = tuple[Any, ...]
"""What an answer may be: any of these; a list in there is a list of any of those within."""

REFERENCE = "#/components/schemas/{name}"


def schema(shapes: Shapes) -> dict[str, Any]:
    """The schema of an answer, with references to the components."""
    return _any_of([_one(shape) for shape in shapes])


def components(answers: Iterable[Shapes]) -> dict[str, Any]:
    """What the schemas of these answers refer to, by name."""
    types = list(dict.fromkeys(leaf for shapes in answers for leaf in _leaves(shapes)))
    _, found = msgspec.json.schema_components(types, ref_template=REFERENCE)
    return found


def _one(shape: Any) -> dict[str, Any]:
    if not isinstance(shape, list):
        (found,), _ = msgspec.json.schema_components([shape], ref_template=REFERENCE)
        return found
    return {"type": "array", **({"items": schema(tuple(shape))} if shape else {"maxItems": 0})}


def _any_of(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _leaves(shapes: Iterable[Any]) -> Iterator[Any]:
    for shape in shapes:
        if isinstance(shape, list):
            yield from _leaves(shape)
        else:
            yield shape
