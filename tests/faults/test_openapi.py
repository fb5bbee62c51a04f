"""Every answer of the API is one that its own document names, whatever is sent to it: schemathesis draws the requests.

Requests follow the document, and break it on purpose, one part at a time. An answer has to have a status, a content
type and a form that the document has for this route; what fails is a mistake of the service or of the document.
"""

import os
import re

import pytest
from properties import HealthCheck, given, settings
from running_service import running

pytest.importorskip("hypothesis")
pytest.importorskip("schemathesis", reason="schemathesis is not installed")

import schemathesis
from hypothesis.errors import Unsatisfiable
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

TOKEN = "a-token"
CONFIG = f"""
auth: {{token: {TOKEN}, failures_per_minute: 0}}
service: {{requests_per_second: 0, max_body_bytes: 65536}}
streams: [{{id: news, url: news.ts}}]
"""
# What never ends, opens addresses, or changes the service itself.
LEFT_OUT = re.compile(r"/(events|reload|probe|session|restart)$")
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
POSITIVE, NEGATIVE = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
EXAMPLES = 60 if os.environ.get("AVJURY_EXPLORE") == "1" else 6


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tmp_path_factory.mktemp("service"), CONFIG) as service:
        service.fleet.report("news", "opened")
        yield service


@pytest.fixture(scope="module")
def operations(service):
    with service.client() as client:
        document = client.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig())
    schema.config.update(base_url=service.url)
    found = [one.ok() for one in schema.get_all_operations() if not LEFT_OUT.search(one.ok().path)]
    assert len(found) > 20
    return [(one, mode) for one in found for mode in (POSITIVE, NEGATIVE)]


def test_no_answer_is_one_that_the_document_does_not_name(operations):
    problems = []
    for operation, mode in operations:
        drawn = operation.as_strategy(generation_mode=mode)

        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(drawn)
        def asked(case):
            answer = case.call(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=15)
            case.validate_response(answer, checks=CHECKS)

        try:
            asked()
        except FailureGroup as found:
            problems += [f"{operation.label} ({mode.value}): {one}" for one in found.exceptions]
        except Unsatisfiable:
            assert mode is NEGATIVE, operation.label  # a route that takes nothing: nothing of it can be wrong
    assert not problems, "\n\n".join(problems)
