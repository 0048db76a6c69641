"""Refuse every change of what was recorded."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_first")]

    operations = [
        migrations.RunSQL(
            sql="""
            CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION 'the audit trail is append-only: % is refused', TG_OP
                    USING ERRCODE = 'insufficient_privilege';
            END $$;
            CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit_entry
                FOR EACH ROW EXECUTE FUNCTION audit_refuse();
            CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_entry
                FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
            """,
            reverse_sql="""
            DROP TRIGGER audit_no_truncate ON audit_entry;
            DROP TRIGGER audit_no_change ON audit_entry;
            DROP FUNCTION audit_refuse();
            """,
        )
    ]
