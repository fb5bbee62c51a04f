"""The page in a real browser."""

import pytest


@pytest.fixture
def visit(browser):
    """Opens pages; none of them may have said anything on its console, or looked elsewhere.

    A browser tells every refused request there: `refused` is the address of one that is meant to be.
    """
    said, contexts = [], []

    def open_page(service, token=None, refused=None, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)  # what is waited for comes; a busy machine is slow
        page.on(
            "console",
            lambda one: (
                said.append(f"{one.text} {one.location}")
                if one.type in ("error", "warning") and not (refused and refused in str(one.location))
                else None
            ),
        )
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if not request.url.startswith(
            (service.url, f"blob:{service.url}")) else None)  # fmt: skip
        page.goto(service.url)
        if token is not None:
            page.fill("#token", token)
            page.press("#token", "Enter")
            page.wait_for_selector("nav")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
