"""What an admin fills in: a rule, and a text to try it on."""

from django import forms

from agentops.redaction.rules import LONGEST, PatternError, check


class RuleForm(forms.Form):
    name = forms.RegexField(
        r"^[a-z][a-z0-9_]{0,29}$",
        label="Name",
        help_text="stands in the mark, as in [redacted:employee_id:3f9a]",
        error_messages={"invalid": "Use small letters, digits and _, a letter first, at most 30: employee_id."},
    )
    pattern = forms.CharField(
        label="Pattern",
        max_length=LONGEST,
        strip=False,
        widget=forms.TextInput({"class": "mono", "autocomplete": "off", "spellcheck": "false"}),
        help_text=r"a regular expression of RE2, as in \bEMP-\d{6}\b; (?i) in front ignores case",
    )
    sample = forms.CharField(
        label="Text to try it on",
        required=False,
        max_length=10_000,
        strip=False,
        widget=forms.Textarea({"rows": 4, "class": "mono", "spellcheck": "false"}),
        help_text="is kept nowhere",
    )

    def clean_pattern(self) -> str:
        pattern: str = self.cleaned_data["pattern"]
        try:
            check(pattern)
        except PatternError as error:
            raise forms.ValidationError(str(error)) from None
        return pattern
