"""Common reads of the ORM, as SQL of any vendor: none of them may count as a write."""

from collections.abc import Iterator

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import (
    Avg,
    Case,
    Count,
    DateTimeField,
    Exists,
    ExpressionWrapper,
    F,
    IntegerField,
    JSONField,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    StdDev,
    Subquery,
    Sum,
    Value,
    Variance,
    When,
    Window,
    functions,
)

from accounts.models import User
from analytics.models import AnalyticsEvent

ABOUT_TIMES = [functions.ExtractYear, functions.ExtractWeek, functions.ExtractIsoWeekDay, functions.ExtractSecond]
ABOUT_TIMES += [functions.TruncYear, functions.TruncQuarter, functions.TruncWeek, functions.TruncHour]
ABOUT_TIMES += [functions.TruncDate, functions.TruncTime]
ABOUT_TEXTS = [functions.Length, functions.Lower, functions.Upper, functions.Reverse, functions.Trim, functions.LTrim]
ABOUT_TEXTS += [functions.RTrim, functions.MD5, functions.SHA1, functions.SHA256, functions.Ord]
ABOUT_NUMBERS = [functions.Abs, functions.ACos, functions.Ceil, functions.Cot, functions.Degrees, functions.Exp]
ABOUT_NUMBERS += [functions.Floor, functions.Ln, functions.Radians, functions.Round, functions.Sign, functions.Sqrt]
IN_WINDOWS = [functions.RowNumber(), functions.Rank(), functions.DenseRank(), functions.PercentRank()]
IN_WINDOWS += [functions.CumeDist(), functions.Ntile(4), functions.Lag("id"), functions.Lead("id")]
IN_WINDOWS += [functions.FirstValue("id"), functions.LastValue("id"), functions.NthValue("id", 2), Sum("id")]


def querysets() -> Iterator[QuerySet]:  # type: ignore[type-arg]
    """Yield the reads as unevaluated querysets."""
    users, events = User.objects.all(), AnalyticsEvent.objects.all()
    yield from (
        users,
        users.only("id").order_by("?")[:3],
        users.filter(pk=1),
        users.filter(groups__name="x").distinct(),
    )
    yield users.filter(Q(username__icontains="x") | ~Q(first_name__iregex="^x"), pk__in=[1, 2], last_login__isnull=True)
    yield users.filter(date_joined__year=2020, date_joined__week_day=2, date_joined__date="2020-01-01")
    yield users.filter(Exists(User.objects.filter(pk__gt=OuterRef("pk"))))
    yield users.annotate(last=Subquery(User.objects.filter(pk__lt=OuterRef("pk")).values("username")[:1]))
    yield users.values("is_staff").annotate(n=Count("id", distinct=True), m=Max("id")).filter(n__gt=1)
    yield users.union(User.objects.filter(pk=2)).order_by("id")
    yield users.annotate(g=Count("groups", filter=Q(groups__name="x")), s=Sum("id", default=0), a=Avg("id"))
    yield users.annotate(d=StdDev("id"), v=Variance("id", sample=True), m=Min("date_joined"))
    yield users.annotate(c=Case(When(is_staff=True, then=1), default=F("id") * 2, output_field=IntegerField()))
    yield users.annotate(
        a=functions.Coalesce("username", Value("x")),
        b=functions.Concat("username", Value(" "), "username"),
        c=functions.Greatest("date_joined", "last_login"),
        d=functions.Least("date_joined", "last_login"),
        e=functions.NullIf("username", Value("")),
        f=functions.Replace("username", Value("a"), Value("b")),
        g=functions.StrIndex("username", Value("@")),
        h=functions.Substr("username", 2, 3),
        i=functions.Left("username", 2),
        j=functions.Right("username", 2),
        k=functions.LPad("username", 9),
        l=functions.Repeat("username", 2),
        m=functions.Chr("id"),
        n=functions.Cast("id", DateTimeField()),
        o=functions.Collate("username", "C"),
        p=functions.Now(),
        q=functions.Random(),
        r=functions.Power("id", 2),
        s=functions.Mod("id", 2),
        t=functions.Log(2, "id"),
        u=functions.Pi(),
        v=functions.ATan2("id", "id"),
    )
    yield from (users.annotate(x=function("date_joined")) for function in ABOUT_TIMES)
    yield from (users.annotate(x=function("username")) for function in ABOUT_TEXTS)
    yield from (users.annotate(x=function("id")) for function in ABOUT_NUMBERS)
    yield from (users.annotate(x=Window(each, partition_by="is_staff", order_by="id")) for each in IN_WINDOWS)
    yield users.annotate(j=functions.JSONObject(name="username", id=F("id")))
    read = users.annotate(j=functions.Cast(Value("{}"), JSONField()))
    yield from (read.filter(j__a=1), read.filter(j__a__b__icontains="x"), read.filter(j__has_key="a"))
    yield from (read.filter(j__has_any_keys=["a", "b"]), read.exclude(j__a=None))
    yield events.annotate(day=functions.TruncDay("at")).values("day", "kind").annotate(n=Count("id")).order_by("day")
    yield events.annotate(age=ExpressionWrapper(functions.Now() - F("at"), DateTimeField())).filter(at__hour__gte=3)
    yield events.dates("at", "month")
    yield events.datetimes("at", "minute", order="DESC")


def texts_of(connection: BaseDatabaseWrapper) -> Iterator[str]:
    """Yield the SQL of each read in the dialect of the connection. No query."""
    for queryset in querysets():
        sql, _ = queryset.query.get_compiler(connection=connection).as_sql()
        yield sql
