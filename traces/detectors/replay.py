"""Reading a stored trace once more, for what detectors would find in it: nothing is written."""

from collections.abc import Sequence

from traces.detectors import stored
from traces.detectors.base import Detector, Hit
from traces.detectors.sessions import open_session
from traces.detectors.silence import HitKey, Said, moment_of
from traces.detectors.steps import StoredReader
from traces.detectors.toolset import Offers
from traces.models import Trace


def replay(trace: Trace, detectors: Sequence[Detector]) -> list[dict[HitKey, Hit]]:
    """Return what each of the detectors, all of them new, finds in the whole of a trace as it stands now.

    One query for the steps, a thousand of which are in memory at a time; one to three where silence means something
    to a detector, two for a run with calls of high risk, and one where a detector judges sessions: of the other runs
    it is told what they have used by now.
    """
    needs = frozenset().union(*(one.needs for one in detectors))
    open_session(trace, detectors)
    said = [Said(None) for _ in detectors]
    for _, step in StoredReader(trace=trace, offers=Offers({}), needs=needs).read(stored.load(trace, needs)):
        for one, heard in zip(detectors, said, strict=True):
            for hit in one.see(step):
                heard.hits[hit.kind, hit.onset.span_id] = hit
    if any(one.listens() for one in detectors):
        moment = moment_of(trace)
        for one, heard in zip(detectors, said, strict=True):
            heard.ask(one, moment)
    return [heard.hits for heard in said]
