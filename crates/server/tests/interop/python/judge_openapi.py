"""Judges documents of OpenAPI 3.1 with the validator of python-openapi.

Reads {"documents": [...]} from standard input; writes for each a list of what is wrong with it.
"""

import json
import sys

from openapi_spec_validator import OpenAPIV31SpecValidator


def faults(document):
    errors = OpenAPIV31SpecValidator(document).iter_errors()
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]


if __name__ == "__main__":
    json.dump([faults(document) for document in json.load(sys.stdin)["documents"]], sys.stdout)
