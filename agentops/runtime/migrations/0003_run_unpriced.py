from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runtime", "0002_ways")]

    operations = [
        migrations.AddField("run", "unpriced", models.IntegerField(db_default=0, default=0)),
    ]
