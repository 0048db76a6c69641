"""What all tests share: the browser or the reason why there is none, and the lent agent runs."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = os.environ.get("AGENTOPS_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
NO_BROWSER = "no browser is installed here (Debian: apt install chromium)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    wants_browser = [item for item in items if item.get_closest_marker("browser")]
    if BROWSER or not wants_browser:
        return
    if os.environ.get("AGENTOPS_REQUIRE_BROWSER") == "1":
        raise pytest.UsageError(f"AGENTOPS_REQUIRE_BROWSER=1, and {NO_BROWSER}")
    for item in wants_browser:
        item.add_marker(pytest.mark.skip(reason=NO_BROWSER))


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, object]:
    # Playwright keeps an event loop running in the main thread, where Django would refuse to touch the database.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    switches = (
        "no-sandbox disable-gpu disable-quic no-first-run disable-background-networking "
        "disable-component-update disable-sync"
    )
    return {"executable_path": BROWSER, "headless": True, "args": [f"--{switch}" for switch in switches.split()]}


@pytest.fixture(scope="session")
def lent_data() -> Path:
    """The folder of lent agent runs, which is no part of the repository."""
    path = Path(os.environ.get("AGENTOPS_LENT_DATA") or CHECKOUT.parent / "shared" / "data")
    if not path.is_dir():
        pytest.skip(f"no lent agent runs at {path} (AGENTOPS_LENT_DATA names another place)")
    return path


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Let the tests empty their database between them; the audit trail's own tests put the guard back."""
    from django.db import connection

    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_entry DISABLE TRIGGER audit_no_truncate")
