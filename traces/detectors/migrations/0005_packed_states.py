from django.db import migrations, models


class Migration(migrations.Migration):
    """What detectors remember is packed before it is sent: to read and pack it costs Postgres four times as much.

    What they remember of the traces that are there is forgotten: one that goes on is read anew, once, from its start.
    A worker of the version before fails until it is stopped; its jobs wait for one of this version.
    """

    dependencies = [
        ('detectors', '0004_shadow'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='detectorstate',
            name='states',
        ),
        migrations.AddField(
            model_name='detectorstate',
            name='states',
            field=models.BinaryField(default=b''),
        ),
        migrations.RunSQL(
            "ALTER TABLE detectors_detectorstate ALTER states SET STORAGE EXTERNAL",
            migrations.RunSQL.noop,
        ),
    ]
