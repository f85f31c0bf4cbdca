"""The document's own route."""

from services.gateway.openapi.operation import Operation, Raw, answer

OPERATIONS = (
    Operation(
        method="GET",
        path="/openapi.json",
        tag="This document",
        summary="The API as an OpenAPI 3.1 document",
        answers=(answer(Raw({"type": "object"}), "This document."),),
    ),
)
