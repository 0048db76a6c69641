from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('approvals', '0002_ways'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='approval',
            index=models.Index(condition=models.Q(('decided_at__isnull', False), ('tier', 'high')), fields=['project', '-decided_at', '-id'], name='approval_decided'),
        ),
    ]
