"""Read the whole trail again and say where it was changed."""

import hmac
from collections.abc import Iterator
from itertools import groupby

import msgspec

from agentops.audit.chain import GENESIS, chain_name, link
from agentops.audit.heads import Head, newest_rows, read_heads
from agentops.audit.models import Entry


class ChainReport(msgspec.Struct):
    """`problem` is empty, or one sentence that names the first bad row."""

    chain: str
    rows: int = 0
    problem: str = ""


def verify() -> list[ChainReport]:
    """Check every chain and compare it with the exported heads. Reads each row once, in constant memory."""
    heads = read_heads()
    rows = Entry.objects.order_by("project_id", "seq").iterator(chunk_size=2_000)
    reports = [
        _check(ChainReport(name), chain, heads.pop(name, None))
        for name, chain in groupby(rows, key=lambda row: chain_name(row.project_id))
    ]
    return [*reports, *_gone(heads)]


def verify_newest(rows: int = 200) -> list[ChainReport]:
    """Check the newest rows of each chain, and that none up to the exported heads is gone. One query a chain."""
    heads = read_heads()
    reports = [_check_newest(last, rows, heads.pop(chain_name(last.project_id), None)) for last in newest_rows()]
    return [*reports, *_gone(heads)]


def _gone(heads: dict[str, Head]) -> list[ChainReport]:
    """Report the exported chains of which no row is left."""
    return [
        ChainReport(name, problem=f"all {head.seq} rows are gone, up to seq {head.seq}") for name, head in heads.items()
    ]


def _check_newest(last: Entry, rows: int, head: Head | None) -> ChainReport:
    chain, before = Entry.objects.of(last.project_id).order_by("seq"), last.seq - rows
    if before <= 0:
        return _check(ChainReport(chain_name(last.project_id)), chain.iterator(), head)
    known, *newest = chain.filter(seq__gte=before)
    recent = head if head and head.seq > before else None
    report = ChainReport(chain_name(last.project_id), rows=known.seq)
    return _check(report, iter(newest), recent, previous=bytes(known.hash))


def _check(report: ChainReport, rows: Iterator[Entry], head: Head | None, *, previous: bytes = GENESIS) -> ChainReport:
    """Go on where the report stands, behind the row with the hash `previous`."""
    at_head = b""
    for row in rows:
        report.rows += 1
        if not report.problem:
            report.problem = _fault(report.rows, previous, row)
        previous = bytes(row.hash)
        if head and row.seq == head.seq:
            at_head = previous
    if head and not report.problem and at_head.hex() != head.hash:
        report.problem = (
            f"seq {head.seq} is not the row that was exported"
            if at_head
            else f"the tail is cut off: the exported head is seq {head.seq}, the last row is seq {report.rows}"
        )
    return report


def _fault(expected_seq: int, previous: bytes, row: Entry) -> str:
    if row.seq != expected_seq:
        return f"seq {expected_seq} is missing: the next row is seq {row.seq} ({row.id})"
    if not hmac.compare_digest(link(previous, row), bytes(row.hash)):
        return f"seq {row.seq} ({row.id}, {row.action}) was changed"
    return ""
