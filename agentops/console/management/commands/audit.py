"""`audit verify`: read the whole audit trail again and say whether somebody changed it."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentops.accounts.models import Project
from agentops.audit.verify import verify
from traces.alerts.system import notice_audit


class Command(BaseCommand):
    help = "verify: check every chain of the audit trail against its hashes and the exported heads; a break is an alert"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["verify"])

    def handle(self, *args: Any, **options: Any) -> None:
        reports = verify()
        notice_audit(reports)
        names = {str(project.pk): f"project {project.slug}" for project in Project.objects.all()}
        for report in reports:
            name = names.get(report.chain, report.chain)
            self.stdout.write(f"{name}: {report.rows} rows, {report.problem or 'intact'}")
        bad = [report for report in reports if report.problem]
        self.stdout.write(f"{sum(report.rows for report in reports)} rows in {len(reports)} chains, {len(bad)} broken")
        if bad:
            raise CommandError(f"the audit trail was changed: {bad[0].chain}: {bad[0].problem}")
