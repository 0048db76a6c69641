"""Addresses of the pages of detectors."""

from django.urls import path

from traces.tuning import backtest_views, views

app_name = "detectors"
urlpatterns = [
    path("detectors", views.detector_list, name="list"),
    path("detectors/shadow", views.shadow_list, name="shadow"),
    path("detectors/backtests/<uuid:pk>", backtest_views.backtest, name="backtest"),
    path("detectors/backtests/<uuid:pk>/cancel", backtest_views.backtest_cancel, name="backtest-cancel"),
    path("detectors/versions/<uuid:pk>/restore", views.version_restore, name="restore"),
    path("detectors/<str:name>", views.detector, name="detector"),
    path("detectors/<str:name>/set", views.detector_set, name="set"),
]
