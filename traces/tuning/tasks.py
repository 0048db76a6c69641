"""The job of this room, and what its clock does."""

from datetime import timedelta

from agentops.jobs.registry import every, handles
from traces.tuning import backtests
from traces.tuning.trials import BacktestJob


@handles(BacktestJob.kind, atomic=False)
def backtest(job: BacktestJob) -> timedelta | None:
    return backtests.go_on(job.backtest_id)


@every(seconds=300)
def forget_old_backtests() -> None:
    backtests.forget_old()
