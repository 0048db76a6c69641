from django.db import migrations, models


class Migration(migrations.Migration):
    """A trace has a toolset for each of its agents; the one that was known so far is everybody's."""

    dependencies = [
        ('detectors', '0002_go_with_their_trace'),
    ]

    operations = [
        migrations.AddField(
            model_name='detectorstate',
            name='toolsets',
            field=models.JSONField(default=dict),
        ),
        migrations.RunSQL(
            """
            UPDATE detectors_detectorstate SET toolsets = jsonb_build_object('', replace(toolset::text, '-', ''))
            WHERE toolset IS NOT NULL
            """,
            """
            UPDATE detectors_detectorstate SET toolset = (toolsets ->> '')::uuid WHERE toolsets ? ''
            """,
        ),
        migrations.RemoveField(
            model_name='detectorstate',
            name='toolset',
        ),
    ]
