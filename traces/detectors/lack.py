"""What some steps of a run lack, such as results of calls, and which: bounded, so that a state may hold it."""

from zlib import crc32

from traces.detectors.base import Mutable, Step, StepRef

MOST_KEPT = 10  # of the steps that lack something; the others are counted
MOST_TOOLS = 200


class Lack(Mutable):
    """Steps that lack something which others of the same run may have."""

    have: int = 0
    lack: int = 0
    refs: list[StepRef] = []
    tools: list[str] = []  # of `refs`
    with_it: list[int] = []  # tools whose calls had it at least once, hashed

    def note(self, step: Step, *, has_it: bool) -> None:
        tool = step.tool_name or ""
        if has_it:
            self.have += 1
            if (name := hashed(tool)) not in self.with_it and len(self.with_it) < MOST_TOOLS:
                self.with_it = [*self.with_it, name]
            return
        self.lack += 1
        if len(self.refs) < MOST_KEPT:
            self.refs, self.tools = [*self.refs, step.ref], [*self.tools, tool]

    @property
    def is_never_there(self) -> bool:
        return bool(self.lack) and not self.have

    def share(self, what: str, lack: int | None = None) -> str:
        """Return in words how many steps lack it, all that were noted unless said otherwise, and of how many."""
        lack = self.lack if lack is None else lack
        if self.have:
            return f"{lack} of {lack + self.have} {what}s"
        return f"The only {what}" if lack == 1 else f"All {lack} {what}s"


def has_result(step: Step) -> bool:
    return step.result_hash is not None or step.is_error


def hashed(text: str) -> int:
    return crc32(text.encode(errors="replace"))
