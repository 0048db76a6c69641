"""Refuse every way from one state to another that is not on the list, whoever writes."""

from django.db import migrations

REFUSE = """
CREATE FUNCTION approvals_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (OLD.status || '>' || NEW.status = ANY (TG_ARGV[0]::text[])) THEN
        RAISE EXCEPTION '% cannot go from % to %', TG_TABLE_NAME, OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approval_ways BEFORE UPDATE OF status ON approvals_approval
    FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION approvals_refuse(
        '{pending>approved,pending>rejected,pending>answered,pending>expired,pending>cancelled,pending>superseded,'
        'approved>expired,approved>cancelled,approved>superseded}');
CREATE TRIGGER action_ways BEFORE UPDATE OF status ON approvals_action
    FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION approvals_refuse(
        '{proposed>claimed,proposed>executing,claimed>succeeded,claimed>failed,claimed>unknown,'
        'executing>succeeded,executing>failed,executing>unknown,unknown>succeeded,unknown>failed}');
"""
RETURN = """
DROP TRIGGER action_ways ON approvals_action;
DROP TRIGGER approval_ways ON approvals_approval;
DROP FUNCTION approvals_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("approvals", "0001_first")]

    operations = [migrations.RunSQL(REFUSE, RETURN)]
