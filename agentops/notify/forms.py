"""The form of a channel, made from the fields that its kind names, and the form of a route."""

from collections.abc import Sequence
from typing import Any

from django import forms

from agentops.notify.channels.base import Field, FieldError, Kind
from agentops.notify.configure import hints, leads_elsewhere
from agentops.notify.models import Channel
from agentops.notify.routing import SEVERITIES, subjects

LONGEST = 2_000
TYPE_AGAIN = "Type it again: it was given for another receiver."


class ChannelForm(forms.Form):
    name = forms.CharField(label="Name", max_length=120)

    def __init__(self, kind: Kind, *args: Any, channel: Channel | None = None, **kwargs: Any) -> None:
        if channel:
            kwargs["initial"] = {"name": channel.name, **channel.config}
        else:
            kwargs["initial"] = {field.name: field.initial for field in kind.fields}
        super().__init__(*args, **kwargs)
        self.kind, self.channel = kind, channel
        saved = hints(channel) if channel else {}
        for field in kind.fields:
            self.fields[field.name] = forms.CharField(
                label=field.label,
                required=field.is_required and field.name not in saved,
                max_length=LONGEST,
                widget=_widget(field),
                help_text=f"saved, ends in {saved[field.name]}; empty keeps it" if field.name in saved else field.help,
            )
        if any(field.is_secret and not field.is_required and field.name in saved for field in kind.fields):
            self.fields["forget"] = forms.BooleanField(label="Remove what is saved", required=False)

    def clean(self) -> dict[str, Any]:
        for field in self.kind.fields:
            if typed := self.cleaned_data.get(field.name):
                try:
                    self.cleaned_data[field.name] = field.check(typed)
                except FieldError as error:
                    self.add_error(field.name, str(error))
        if self.channel and leads_elsewhere(self.channel, self.cleaned_data):
            for field in self.kind.fields:
                if (
                    field.is_secret
                    and field.is_required
                    and field.name not in self.errors
                    and not self.cleaned_data.get(field.name)
                ):
                    self.add_error(field.name, TYPE_AGAIN)
        return self.cleaned_data

    def values(self) -> dict[str, str]:
        """What was typed for the kind's own fields, checked."""
        return {field.name: self.cleaned_data.get(field.name, "") for field in self.kind.fields}


def _widget(field: Field) -> forms.Widget:
    look = {"placeholder": field.example, "autocomplete": "off", "spellcheck": "false"}
    return forms.PasswordInput(look) if field.is_secret else forms.TextInput(look)


class RouteForm(forms.Form):
    channel = forms.ChoiceField()
    pattern = forms.ChoiceField(label="About", required=False)
    at_least = forms.ChoiceField(label="Severity at least", choices=[(one, one) for one in SEVERITIES])
    agent = forms.CharField(max_length=200, required=False, help_text="* stands for anything: support-*")

    def __init__(self, channels: Sequence[Channel], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.channels = {str(channel.pk): channel for channel in channels}
        offered = {
            "channel": [(pk, channel.name) for pk, channel in self.channels.items()],
            "pattern": [("", "everything"), *((one, one) for one in subjects)],
        }
        for name, choices in offered.items():
            self.fields[name] = forms.ChoiceField(
                label=self.fields[name].label, required=self.fields[name].required, choices=choices
            )

    def clean_channel(self) -> Channel:
        return self.channels[self.cleaned_data["channel"]]
