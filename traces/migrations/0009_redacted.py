from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("traces", "0008_ledger_ignored")]

    operations = [
        migrations.AddField(
            model_name="ingestbatch",
            name="redacted",
            field=models.JSONField(db_default={}, default=dict),
        ),
    ]
