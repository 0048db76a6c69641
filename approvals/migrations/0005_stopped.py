"""A run that was stopped is denied what it waits for, and what it was given and has not used."""

from django.db import migrations, models

BEFORE = (
    "pending>approved,pending>rejected,pending>answered,pending>expired,pending>cancelled,pending>superseded,"
    "approved>expired,approved>cancelled,approved>superseded"
)
WAYS = """
DROP TRIGGER approval_ways ON approvals_approval;
CREATE TRIGGER approval_ways BEFORE UPDATE OF status ON approvals_approval
    FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION approvals_refuse('{%s}');
"""


class Migration(migrations.Migration):

    dependencies = [
        ('approvals', '0004_known_risks'),
        ('containment', '0001_first'),
    ]

    operations = [
        migrations.RunSQL(WAYS % f"{BEFORE},pending>denied,approved>denied", WAYS % BEFORE),
        migrations.AddIndex(
            model_name='action',
            index=models.Index(
                condition=models.Q(('trace_id', None), _negated=True),
                fields=['project', 'trace_id'],
                name='action_by_trace',
            ),
        ),
    ]
