"""Bodies as they came where Postgres has no lz4: compressing them by pglz costs more than all the rest of ingest."""

from django.db import migrations

BODIES = ("input", "output", "text", "thinking", "error", "attributes")
SET = ", ".join(f"ALTER {name} SET STORAGE %s" for name in BODIES)
CHANGE = f"""
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = 'traces_span'::regclass AND attname = 'attributes' AND attcompression = 'l'
    ) THEN
        ALTER TABLE traces_span {SET.replace("%s", "EXTERNAL")};
    END IF;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("traces", "0006_batch_is_indexed")]

    operations = [migrations.RunSQL(CHANGE, f"ALTER TABLE traces_span {SET.replace('%s', 'EXTENDED')}")]
