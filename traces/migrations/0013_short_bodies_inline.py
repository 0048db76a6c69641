"""Short bodies that stay in their rows, in the partitions that are there; see SLIM in traces/partitions.py."""

from django.db import migrations

CHANGE = """
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'traces_span'::regclass LOOP
        EXECUTE format('ALTER TABLE %s SET (toast_tuple_target = {})', part);
    END LOOP;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("traces", "0012_no_vacuum_for_inserts")]

    operations = [migrations.RunSQL(CHANGE.format(1024), CHANGE.format(128))]
