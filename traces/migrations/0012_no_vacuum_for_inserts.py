"""Partitions that autovacuum leaves alone while they only grow; see traces/partitions.py."""

from django.db import migrations

CHANGE = """
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'traces_span'::regclass LOOP
        EXECUTE format('ALTER TABLE %s {}', part);
    END LOOP;
END $$
"""
NAMES = ("autovacuum_vacuum_insert_threshold", "toast.autovacuum_vacuum_insert_threshold")


class Migration(migrations.Migration):
    dependencies = [("traces", "0011_tool_risk")]

    operations = [
        migrations.RunSQL(
            CHANGE.format(f"SET ({', '.join(f'{name} = -1' for name in NAMES)})"),
            CHANGE.format(f"RESET ({', '.join(NAMES)})"),
        )
    ]
