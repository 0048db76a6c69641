"""Refuse every change of a status that is no way from one to the next (agentops/runtime/states.py)."""

from django.db import migrations

WAYS = {
    "runtime_run": (
        "queued>running", "queued>failed", "queued>cancelled", "queued>needs_person", "running>waiting_approval",
        "running>succeeded", "running>failed", "running>rolling_back", "running>needs_person", "running>cancelled",
        "waiting_approval>running", "waiting_approval>failed", "waiting_approval>rolling_back",
        "waiting_approval>needs_person", "waiting_approval>cancelled", "rolling_back>rolled_back",
        "rolling_back>needs_person", "rolling_back>cancelled", "needs_person>running", "needs_person>rolling_back",
        "needs_person>cancelled",
    ),
    "runtime_toolcall": (
        "proposed>waiting_approval", "proposed>ready", "proposed>denied", "proposed>invalid", "proposed>cancelled",
        "waiting_approval>ready", "waiting_approval>rejected", "waiting_approval>denied",
        "waiting_approval>proposed", "waiting_approval>cancelled", "ready>executing", "ready>rejected",
        "ready>denied", "ready>proposed", "ready>cancelled", "executing>succeeded", "executing>failed",
        "executing>unknown", "unknown>succeeded", "unknown>failed",
    ),
    "runtime_compensation": (
        "registered>running", "registered>not_needed", "running>done", "running>retry", "running>dead",
        "retry>running", "dead>retry",
    ),
}
FUNCTION = """
CREATE FUNCTION runtime_refuse_way() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (OLD.status || '>' || NEW.status) = ANY (TG_ARGV) THEN
        RAISE EXCEPTION '%: no way leads from % to %', TG_TABLE_NAME, OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""
TRIGGER = """
CREATE TRIGGER {table}_ways BEFORE UPDATE OF status ON {table}
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION runtime_refuse_way({ways})
"""


def _trigger(table: str) -> migrations.RunSQL:
    ways = ", ".join(f"'{way}'" for way in WAYS[table])
    return migrations.RunSQL(TRIGGER.format(table=table, ways=ways), f"DROP TRIGGER {table}_ways ON {table}")


class Migration(migrations.Migration):
    dependencies = [("runtime", "0001_first")]

    operations = [migrations.RunSQL(FUNCTION, "DROP FUNCTION runtime_refuse_way()"), *map(_trigger, WAYS)]
