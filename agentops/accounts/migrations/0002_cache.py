"""The shared cache of Django's DatabaseCache: rate limits of sign-in must count across processes."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_first")]

    operations = [
        migrations.RunSQL(
            # Unlogged: losing it in a crash forgets some counters, and it costs no WAL.
            sql="""
            CREATE UNLOGGED TABLE accounts_cache (
                cache_key varchar(255) PRIMARY KEY,
                value text NOT NULL,
                expires timestamp with time zone NOT NULL
            );
            CREATE INDEX accounts_cache_expires ON accounts_cache (expires);
            """,
            reverse_sql="DROP TABLE accounts_cache;",
        )
    ]
