"""The run barcode: a trace drawn in at most BARS marks, kept up to date at a constant cost for each new step.

A bar stands for `stride` steps in order of arrival. When twice BARS are full, neighbours are joined and the stride
doubles, so that between BARS and twice BARS of them are kept whatever the length of the run.
"""

from collections.abc import Iterable

BARS = 36
MODEL, CUSTOMER, TOOL, GATE, ERROR = "m", "c", "t", "g", "e"
_RANK = {MODEL: 0, CUSTOMER: 1, TOOL: 2, GATE: 3, ERROR: 4}  # in a joined bar the highest wins


def mark(event_type: str, *, failed: bool, by_customer: bool) -> str:
    """Return the one letter for a step."""
    if failed:
        return ERROR
    if event_type == "tool_call":
        return TOOL
    if event_type == "human_gate":
        return CUSTOMER if by_customer else GATE
    return MODEL


def extend(shape: str, stride: int, steps: int, marks: Iterable[str]) -> tuple[str, int]:
    """Return (shape, stride) after `marks` were added to a trace that had `steps` steps."""
    bars = list(shape)
    for letter in marks:
        if steps % stride == 0:
            bars.append(letter)
        else:
            bars[-1] = max(bars[-1], letter, key=_RANK.__getitem__)
        steps += 1
        if len(bars) == 2 * BARS and steps % stride == 0:
            bars = [max(bars[i : i + 2], key=_RANK.__getitem__) for i in range(0, len(bars), 2)]
            stride *= 2
    return "".join(bars), stride
