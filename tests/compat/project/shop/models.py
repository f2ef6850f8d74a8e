"""One model for each package that extends a model, so that no package sees the work of another."""

import reversion
from auditlog.registry import auditlog
from django.conf import settings
from django.db import models
from simple_history.models import HistoricalRecords


class Item(models.Model):
    name = models.CharField(max_length=100)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True)

    def __str__(self) -> str:
        return self.name


class Essay(models.Model):
    text = models.CharField(max_length=100)
    history = HistoricalRecords()

    def __str__(self) -> str:
        return self.text


@reversion.register
class Page(models.Model):
    text = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.text


class Invoice(models.Model):
    number = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.number


auditlog.register(Invoice)
