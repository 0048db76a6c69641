"""What people fill in on the pages of members, keys and their own profile."""

from datetime import timedelta

from django import forms

from agentops.accounts.models import Role, Scope

LIFETIMES = {"30": "30 days", "90": "90 days", "180": "180 days", "365": "a year", "never": "never"}


class AddMemberForm(forms.Form):
    email = forms.EmailField(label="E-mail", max_length=254)
    name = forms.CharField(label="Name", max_length=120, required=False)
    role = forms.ChoiceField(label="Role", choices=Role.choices, initial=Role.VIEWER)


class RoleForm(forms.Form):
    role = forms.ChoiceField(label="Role", choices=Role.choices)


class KeyForm(forms.Form):
    name = forms.CharField(label="Name", max_length=120)
    scopes = forms.MultipleChoiceField(
        label="May",
        choices=Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        initial=[Scope.INGEST],
        error_messages={"required": "Choose at least one thing that this key may do."},
    )
    expires = forms.ChoiceField(label="Expires in", choices=LIFETIMES.items(), initial="180")

    def lifetime(self) -> timedelta | None:
        days = self.cleaned_data["expires"]
        return None if days == "never" else timedelta(days=int(days))


class ProfileForm(forms.Form):
    name = forms.CharField(label="Name", max_length=120, required=False)
