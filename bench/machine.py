"""What processes cost, read from /proc: CPU seconds and memory of a process with everything below it."""

import os
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def tree(root: int) -> list[int]:
    """Return a process and everything it started, as far as it lives."""
    parents = {int(entry.name): _stat(int(entry.name))[1] for entry in Path("/proc").glob("[0-9]*")}
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def cpu_s(root: int) -> float:
    """Return the CPU seconds that the tree has used, those of its ended children included."""
    return sum(sum(_stat(pid)[11:15]) for pid in tree(root)) / TICKS_A_SECOND


def on_cpu_ms(*pids: int) -> float:
    """Return the milliseconds that these processes were on a CPU, which other work on the machine does not change."""
    spent = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1_000_000


def pss_mb(pids: list[int]) -> float:
    """Return the memory of these processes in MB, shared pages divided among those who share them."""
    return sum(_pss_kb(pid) for pid in pids) / 1_000


def peak_rss_mb(pid: int) -> float:
    """Return the most memory that a process ever had in MB, pages that it shares with others included."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0) / 1_000


def load() -> float:
    """Return how many processes wanted a CPU in the last minute, ours and everybody's."""
    return os.getloadavg()[0]


def _stat(pid: int) -> list[int]:
    """Return the numbers of /proc/<pid>/stat after the name: [1] is the parent, [11:15] the times in ticks."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return [0] * 20
    return [0, *map(int, after_name[1:20])]


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
