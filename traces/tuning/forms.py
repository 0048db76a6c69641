"""The form of a detector's settings, made from its typed thresholds."""

from dataclasses import replace
from typing import Any

from django import forms

from traces.detectors.base import Detector
from traces.detectors.limits import Limit, Number, ThresholdError, checked, limits
from traces.tuning.queries import Threshold
from traces.tuning.services import Wish

ON, SHADOW, OFF = "on", "shadow", "off"
MODES = [(ON, "on"), (SHADOW, "in shadow: what it finds is shown, and told to nobody"), (OFF, "off: finds nothing")]


class SettingsForm(forms.Form):
    """A number for each threshold; an empty one is the default."""

    mode = forms.ChoiceField(label="This detector is", choices=MODES)
    note = forms.CharField(label="Note", required=False, max_length=500, help_text="why, for whoever reads the history")
    base = forms.IntegerField(widget=forms.HiddenInput, min_value=0)

    def __init__(self, *args: Any, kind: type[Detector], now: list[Threshold], **more: Any) -> None:
        super().__init__(*args, **more)
        self._kind = kind
        self._limits = limits(kind)
        for one in now:
            self.fields[one.limit.name] = _field(one)

    @property
    def numbers(self) -> list[forms.BoundField]:
        return [self[limit.name] for limit in self._limits]

    def clean(self) -> dict[str, Any]:
        for limit in self._limits:
            try:
                checked(self._kind, self._given([limit]))
            except ThresholdError as error:
                self.add_error(error.name, error.says)
        return self.cleaned_data

    def wish(self, now: Wish) -> Wish:
        """Return what is wished for, with the candidate that is there now; only of a valid form."""
        said = self.cleaned_data
        mode = {"enabled": said["mode"] != OFF, "shadow": said["mode"] == SHADOW}
        return replace(now, thresholds=self.thresholds(), note=said["note"], **mode)

    def thresholds(self) -> dict[str, Number]:
        """Return the numbers that are not the default; only of a valid form."""
        return checked(self._kind, self._given(self._limits))

    def _given(self, some: list[Limit]) -> dict[str, Any]:
        given = {limit.name: self.cleaned_data.get(limit.name) for limit in some}
        return {name: value for name, value in given.items() if value is not None}


def _field(one: Threshold) -> forms.Field:
    limit = one.limit
    number = forms.IntegerField if limit.is_whole else forms.FloatField
    made = number(
        label=limit.name,
        required=False,
        initial=_plain(one.value),
        help_text=", ".join(filter(None, [limit.unit, limit.allowed, f"by default {limit.usual}"])),
        error_messages={"invalid": limit.right},
    )
    made.widget.attrs |= {"class": "mono", "inputmode": "numeric" if limit.is_whole else "decimal"}
    made.widget.input_type = "text"  # a wheel must not change it
    return made


def _plain(number: float) -> float:
    return int(number) if float(number).is_integer() else number
