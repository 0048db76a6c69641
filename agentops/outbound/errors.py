"""Why a request did not come to an answer, in words that give nothing away."""

from enum import StrEnum


class Reason(StrEnum):
    """Short words for a page or a log; `SENTENCES` says them at length."""

    BAD_ADDRESS = "bad address"
    NOT_ALLOWED = "not allowed"
    NOT_FOUND = "no such host"
    NO_ANSWER = "no answer"
    TIMED_OUT = "timed out"
    BAD_CERTIFICATE = "bad certificate"
    BAD_ANSWER = "bad answer"
    TOO_LARGE = "answer too large"


SENTENCES = {
    Reason.BAD_ADDRESS: "This is not an address that can be called.",
    Reason.NOT_ALLOWED: "This address is not allowed.",
    Reason.NOT_FOUND: "The name of the host is not known.",
    Reason.NO_ANSWER: "The host cannot be reached.",
    Reason.TIMED_OUT: "The receiver did not answer in time.",
    Reason.BAD_CERTIFICATE: "The receiver's certificate cannot be trusted.",
    Reason.BAD_ANSWER: "What came back is not HTTP.",
    Reason.TOO_LARGE: "The answer is longer than anybody reads.",
}


class OutboundError(Exception):
    """A request that got no usable answer. The text is one sentence without secrets and without addresses of ours."""

    def __init__(self, reason: Reason, sentence: str = "") -> None:
        super().__init__(sentence or SENTENCES[reason])
        self.reason = reason
