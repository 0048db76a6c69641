"""Say the risks that policies set where detectors read them."""

from typing import Any

from django.db import migrations


def say(apps: Any, schema_editor: Any) -> None:
    policies = apps.get_model("approvals", "Policy").objects.filter(deleted_at=None)
    risks = apps.get_model("traces", "ToolRisk").objects
    for policy in policies.iterator():
        risks.update_or_create(
            project_id=policy.project_id, tool_pattern=policy.tool_pattern, defaults={"risk": policy.tier}
        )


class Migration(migrations.Migration):

    dependencies = [
        ('approvals', '0003_decided'),
        ('traces', '0011_tool_risk'),
    ]

    operations = [migrations.RunPython(say, migrations.RunPython.noop, elidable=True)]
