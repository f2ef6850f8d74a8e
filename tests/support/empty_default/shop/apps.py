"""The app of the project."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "tests.support.empty_default.shop"
    label = "shop"
