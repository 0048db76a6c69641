"""What model calls cost where their senders do not say, and how many calls of a trace have a cost."""

from django.db import migrations, models

ADD = """
ALTER TABLE traces_span ADD COLUMN provider text, ADD COLUMN cache_written_tokens integer,
    ADD COLUMN estimated_usd numeric(18, 9);
ALTER TABLE traces_span ALTER provider SET STORAGE MAIN, ALTER estimated_usd SET STORAGE MAIN;
"""
# Spans that are stored already get no estimate: what they were priced by then is not known.
COUNT = """
UPDATE traces_trace t SET priced = n.priced, unpriced = n.unpriced
FROM (
    SELECT trace_ref_id, count(cost_usd)::int AS priced, count(*) FILTER (
        WHERE event_type = 'model_response' AND cost_usd IS NULL AND is_error IS NOT TRUE
    )::int AS unpriced
    FROM traces_span WHERE cost_usd IS NOT NULL OR event_type = 'model_response' GROUP BY 1
) AS n WHERE t.id = n.trace_ref_id
"""

class Migration(migrations.Migration):
    dependencies = [("traces", "0009_redacted")]

    operations = [
        migrations.RunSQL(
            ADD,
            "ALTER TABLE traces_span DROP COLUMN provider, DROP COLUMN cache_written_tokens, DROP COLUMN estimated_usd",
            state_operations=[
                migrations.AddField("span", "provider", models.TextField(null=True)),
                migrations.AddField("span", "cache_written_tokens", models.IntegerField(null=True)),
                migrations.AddField(
                    "span", "estimated_usd", models.DecimalField(decimal_places=9, max_digits=18, null=True)
                ),
            ],
        ),
        migrations.AddField(
            "trace",
            "estimated_usd",
            models.DecimalField(db_default=0, decimal_places=9, default=0, max_digits=28),
        ),
        migrations.AddField("trace", "priced", models.IntegerField(db_default=0, default=0)),
        migrations.AddField("trace", "unpriced", models.IntegerField(db_default=0, default=0)),
        migrations.RunSQL(COUNT, migrations.RunSQL.noop),
    ]
