"""The addresses of the shop."""

from django.urls import path

from django_app import views

urlpatterns = [
    path("orders", views.start),
    path("orders/<str:run_id>/approval", views.approve),
]
