"""Exports hold a thread for as long as their reader takes, so few run at once."""

import pytest

from tests.builders import make_project
from tests.traces.api import Api
from tests.traces.builders import step
from traces.api import rationed

pytestmark = pytest.mark.django_db


def test_exports_beyond_the_few_that_may_run_are_asked_to_come_again() -> None:
    api = Api(make_project())
    api.post(step(1))
    reading = [api.get("traces/t-1/export") for _ in range(rationed.MAX_AT_ONCE)]
    refused = api.get("traces/t-1/export")
    assert (refused.status_code, refused["Retry-After"]) == (503, "5")
    for answer in reading:
        assert b"t-1" in b"".join(answer.streaming_content)
    assert b"t-1" in b"".join(api.get("traces/t-1/export").streaming_content)


def test_a_reader_that_goes_away_gives_its_place_back() -> None:
    going = [rationed.Rationed(iter([b"x"])) for _ in range(rationed.MAX_AT_ONCE)]
    with pytest.raises(rationed.AllTakenError):
        rationed.Rationed(iter([b"x"]))
    going[0].close()
    going[0].close()
    again = rationed.Rationed(iter([b"x"]))
    assert list(again) == [b"x"]
    for one in going:
        one.close()
