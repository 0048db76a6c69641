"""What a call is found by in other spans: the provider's id of a tool call or of a response."""

from django.db import migrations, models

ADD = """
ALTER TABLE traces_span ADD COLUMN call_id text COLLATE "C";
ALTER TABLE traces_span ALTER call_id SET STORAGE MAIN;
-- The other spans that tell of the same call, when a batch is stored.
CREATE INDEX span_by_call ON traces_span (project_id, call_id) WHERE call_id IS NOT NULL;
"""


class Migration(migrations.Migration):
    dependencies = [("traces", "0004_root_ended_at")]

    operations = [
        migrations.RunSQL(
            ADD,
            "ALTER TABLE traces_span DROP COLUMN call_id",
            state_operations=[
                migrations.AddField(model_name="span", name="call_id", field=models.TextField(null=True)),
            ],
        )
    ]
