"""Addresses of the pages of detectors."""

from django.urls import path

from traces.tuning import views

app_name = "detectors"
urlpatterns = [
    path("detectors", views.detector_list, name="list"),
    path("detectors/shadow", views.shadow_list, name="shadow"),
    path("detectors/versions/<uuid:pk>/restore", views.version_restore, name="restore"),
    path("detectors/<str:name>", views.detector, name="detector"),
    path("detectors/<str:name>/set", views.detector_set, name="set"),
]
