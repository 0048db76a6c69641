"""What people fill in beside an alert, and on the page of silences."""

from datetime import timedelta

from django import forms

from traces.alerts import patterns
from traces.alerts.models import Verdict

HOLDS = (("1", "1 hour"), ("4", "4 hours"), ("8", "8 hours"), ("24", "1 day"), ("168", "7 days"))
USUAL_HOLD_H = "4"
SILENCES = (("1", "1 hour"), ("8", "8 hours"), ("24", "1 day"), ("168", "7 days"), ("720", "30 days"))


class AcknowledgeForm(forms.Form):
    hours = forms.ChoiceField(choices=HOLDS, required=False)

    def lasting(self) -> timedelta:
        return timedelta(hours=int(self.cleaned_data["hours"] or USUAL_HOLD_H))


class ResolveForm(forms.Form):
    verdict = forms.ChoiceField(choices=[(v.value, v.label) for v in (Verdict.TRUE_POSITIVE, Verdict.FALSE_POSITIVE)])
    note = forms.CharField(max_length=2_000, required=False)


class SilenceForm(forms.Form):
    hours = forms.ChoiceField(choices=SILENCES, label="For")
    reason = forms.CharField(max_length=500, help_text="kept in the audit log")

    def lasting(self) -> timedelta:
        return timedelta(hours=int(self.cleaned_data["hours"]))


class WideSilenceForm(SilenceForm):
    pattern = forms.ChoiceField(choices=[("", "every pattern"), *((one, one) for one in patterns.ALL)], required=False)
    agent = forms.CharField(max_length=200, required=False, help_text="* stands for anything: support-*")
    tool_name = forms.CharField(max_length=200, required=False, label="Tool", help_text="* stands for anything")

    field_order = ["pattern", "agent", "tool_name", "hours", "reason"]

    def about(self) -> dict[str, str]:
        return {name: self.cleaned_data[name] for name in ("pattern", "agent", "tool_name")}

    def clean(self) -> dict[str, str]:
        """Ask for something to be silent about; `*` as the agent is everything."""
        given = self.cleaned_data
        if not any(given.get(name) for name in ("pattern", "agent", "tool_name")):
            raise forms.ValidationError(
                "Say what is to be silent: a pattern, an agent or a tool. An agent * is all of it."
            )
        return given
