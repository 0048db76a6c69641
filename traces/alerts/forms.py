"""What people fill in beside an alert."""

from datetime import timedelta

from django import forms

from traces.alerts.models import Verdict

SILENCES = (("1", "1 hour"), ("8", "8 hours"), ("24", "1 day"), ("168", "7 days"), ("720", "30 days"))


class ResolveForm(forms.Form):
    verdict = forms.ChoiceField(choices=[(v.value, v.label) for v in (Verdict.TRUE_POSITIVE, Verdict.FALSE_POSITIVE)])
    note = forms.CharField(max_length=2_000, required=False)


class SilenceForm(forms.Form):
    hours = forms.ChoiceField(choices=SILENCES)
    reason = forms.CharField(max_length=500)

    def lasting(self) -> timedelta:
        return timedelta(hours=int(self.cleaned_data["hours"]))
