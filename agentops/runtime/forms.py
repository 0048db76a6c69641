"""What people fill in to start a run."""

import sys
from typing import Any

from django import forms
from uuid_utils.compat import uuid4

from agentops.accounts.models import Project
from agentops.runtime import llm, services
from agentops.runtime.registry import AGENTS
from agentops.runtime.sandbox.scenarios import DEFAULT, scenarios

EXAMPLE = "Please look into order 1001."


class RunForm(forms.Form):
    """`key` makes a form that is sent twice start one run; a page that is opened again has another."""

    agent = forms.ChoiceField()
    input = forms.CharField(
        label="What the agent is asked",
        max_length=services.LONGEST_INPUT,
        initial=EXAMPLE,
        widget=forms.Textarea({"rows": 4}),
    )
    scenario = forms.ChoiceField(required=False)
    key = forms.UUIDField(required=False, widget=forms.HiddenInput, initial=uuid4)

    def __init__(self, project: Project, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        agents: Any = self.fields["agent"]
        agents.choices = [(name, name) for name in AGENTS]
        if not services.may_play(project):
            del self.fields["scenario"]
            return
        scripts: Any = self.fields["scenario"]
        default = f"the script {DEFAULT}" if llm.is_simulated() else "none: the real model answers"
        scripts.choices = [("", default), *((name, f"{name}: {about(name)}") for name in scenarios())]
        scripts.help_text = "A script that is played in place of a model; it makes its own calls, whatever you write."

    def started_with(self) -> dict[str, Any]:
        """Return what a run is started with; call it once the form is valid."""
        given = self.cleaned_data
        key = given.get("key") or uuid4()
        return {
            "agent": given["agent"],
            "input": given["input"],
            "scenario": given.get("scenario") or None,
            "key": f"page-{key}",
        }


def about(scenario: str) -> str:
    """Say in half a sentence what happens in a scenario, from its own file."""
    text = sys.modules[scenarios()[scenario].__module__].__doc__ or ""
    sentence = text.split("\n")[0].rstrip(".")
    return sentence[:1].lower() + sentence[1:]
