"""Attributes are stored without what their row holds elsewhere (traces/attributes.py); what is stored already stays."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("traces", "0013_short_bodies_inline")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameField("span", "attributes", "kept_attributes"),
                migrations.AlterField("span", "kept_attributes", models.JSONField(db_column="attributes", null=True)),
            ],
        ),
    ]
