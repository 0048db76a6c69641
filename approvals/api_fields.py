"""What the API of the gate takes and answers, field by field; the OpenAPI document is made from these."""

from typing import Any

from rest_framework import serializers

from agentops.notify.channels.base import FieldError, checked_url
from approvals.executions import OUTCOMES
from approvals.models import ActionStatus, Status, Tier
from approvals.proposals import LONGEST_TO_DECIDE_S, SHORTEST_TO_DECIDE_S

LONGEST_WAIT_S = 55  # many clients give up after 60
LONGEST_NAME, LONGEST_TEXT = 200, 2_000


class Text(serializers.CharField):
    """A text exactly as it was sent: a name with a space behind it is another name."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Given(serializers.Serializer[Any]):
    """A body where null and absent say the same; what is not known is ignored and changes nothing."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            data = {name: value for name, value in data.items() if value is not None}
        return super().to_internal_value(data)


class ProposalIn(Given):
    """A tool call that an agent wants to make."""

    tool_name = Text(max_length=LONGEST_NAME)
    arguments = serializers.DictField(help_text="exactly what will be executed")
    agent = Text(max_length=LONGEST_NAME, allow_blank=True, default="", help_text="the key's name if not given")
    trace_id = Text(max_length=LONGEST_NAME, allow_blank=True, default="")
    session_id = Text(max_length=LONGEST_NAME, allow_blank=True, default="")
    reason = Text(max_length=LONGEST_TEXT, allow_blank=True, default="", help_text="shown as what the agent says")
    expires_in_s = serializers.IntegerField(
        min_value=SHORTEST_TO_DECIDE_S,
        max_value=LONGEST_TO_DECIDE_S,
        default=None,
        help_text="to decide within; the policy's time if not given",
    )
    callback_url = Text(allow_blank=True, default="", help_text="called once it waits no longer")

    def validate_callback_url(self, url: str) -> str:
        try:
            return checked_url(url) if url else url
        except FieldError as error:
            raise serializers.ValidationError(str(error)) from None


class ApprovalQuery(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=Status.values, required=False, default="")
    run = serializers.UUIDField(required=False, default=None)


class WaitQuery(serializers.Serializer[Any]):
    wait = serializers.IntegerField(
        min_value=0,
        max_value=LONGEST_WAIT_S,
        default=0,
        help_text="seconds to wait for a decision; answered at once when there is one",
    )


class BriefOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=Status.values)
    action_status = serializers.ChoiceField(choices=ActionStatus.values)
    tier = serializers.ChoiceField(choices=Tier.values)
    tool_name = serializers.CharField()
    arguments = serializers.DictField(help_text="as they were approved, where a person edited them")
    agent = serializers.CharField()
    digest = serializers.CharField(help_text="SHA-256 of the action, 64 hex digits")
    run_id = serializers.UUIDField(allow_null=True, help_text="of the built-in agent")
    trace_id = serializers.CharField(allow_null=True, help_text="32 lower-case hex digits")
    expires_at = serializers.DateTimeField(help_text="it can be decided until then")
    url = serializers.CharField(help_text="the page where people decide")


class ApprovalOut(BriefOut):
    policy = serializers.CharField(allow_null=True, help_text="the policy that caught it; without one it is high")
    created_at = serializers.DateTimeField()
    decided_by = serializers.CharField(allow_null=True, help_text="null: by policy, by its deadline or by its agent")
    decided_at = serializers.DateTimeField(allow_null=True)
    comment = serializers.CharField(help_text="what the person wrote, or why it was denied")
    claimed_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    detail = serializers.CharField(help_text="what its agent reported")


class ProposalOut(ApprovalOut):
    callback_secret = serializers.CharField(
        required=False, help_text="signs the callback (Standard Webhooks); only where there is a callback_url"
    )


class GrantedOut(serializers.Serializer[Any]):
    arguments = serializers.DictField(help_text="execute exactly these")
    digest = serializers.CharField()


class ResultIn(Given):
    outcome = serializers.ChoiceField(choices=[outcome.value for outcome in OUTCOMES])
    detail = Text(max_length=LONGEST_TEXT, allow_blank=True, default="")
