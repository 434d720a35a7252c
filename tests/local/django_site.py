"""An application of Django's own parts alone: their tables, and rows by way of their models.

A program, since Django is configured once a process: `python -m tests.local.django_site DSN STEP`.
"""

from __future__ import annotations

import random
import sys
from datetime import UTC, datetime, timedelta

import django
from django.conf import settings
from django.core.management import call_command
from django.db import transaction
from psycopg.conninfo import conninfo_to_dict

SCHEMA = "django"
APPS = ("admin", "auth", "contenttypes", "sessions")
WORDS = ("Zoë", "O'Neill", "名前", "tab\there", "back\\slash", "", "line\nbreak", "😀", '{"a": 1}')
USERS = 300


def configure(dsn: str) -> None:
    at = conninfo_to_dict(dsn)
    settings.configure(
        INSTALLED_APPS=[f"django.contrib.{app}" for app in APPS],
        SECRET_KEY="for tests",
        USE_TZ=True,
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "HOST": at["host"],
                "PORT": at["port"],
                "USER": at["user"],
                "NAME": at["dbname"],
                "OPTIONS": {"options": f"-c search_path={SCHEMA}"},
            }
        },
    )
    django.setup()


def migrate() -> None:
    """Makes the tables, with the rows that Django itself puts there, and people who work."""
    call_command("migrate", verbosity=0)
    people(0, USERS)
    use(random.Random(1))


def work() -> None:
    """Changes rows in all of the ways that Django has for it."""
    people(USERS, 2 * USERS)
    use(random.Random(2))
    change()
    remove()


def people(first: int, last: int) -> None:
    """Users and groups with permissions, in bulk as well as one by one."""
    from django.contrib.auth.models import Group, Permission, User

    joined = datetime(2024, 2, 29, 12, tzinfo=UTC)
    User.objects.bulk_create(
        User(
            username=f"user {n}",
            password="!",
            first_name=WORDS[n % len(WORDS)],
            last_name=WORDS[n // 2 % len(WORDS)],
            email=f"{n}@example.com",
            is_staff=n % 3 == 0,
            date_joined=joined + timedelta(days=n, microseconds=n),
            last_login=None if n % 2 else joined + timedelta(seconds=n / 3),
        )
        for n in range(first, last)
    )
    permissions = list(Permission.objects.order_by("pk"))
    for n in range(first, last, 20):
        group = Group.objects.create(name=f"group {n} {WORDS[n // 20 % len(WORDS)]}")
        group.permissions.set(permissions[n % 5 :: 3])
        group.user_set.set(User.objects.filter(username__endswith=str(n // 20 % 10)))
    for user in User.objects.filter(username__endswith="7"):
        user.user_permissions.add(*permissions[user.pk % 7 :: 4])
    User.objects.create_superuser(f"root {first}", "root@example.com", "a real hash")


def use(chance: random.Random) -> None:
    """Sessions and the log of the admin pages."""
    from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore

    users = list(User.objects.order_by("pk"))
    for user in chance.sample(users, 100):
        session = SessionStore()
        session["user"] = user.pk
        session["seen"] = [chance.random() for _ in range(chance.randrange(50))]
        session.set_expiry(chance.choice([-3600, 3600, 1_000_000]))
        session.save()
        match chance.randrange(4):
            case 0:
                session.cycle_key()  # another primary key, the same row to its user
                session.save()
            case 1:
                session["seen"] = "x" * 20_000  # too long for a page: TOASTed
                session.save()
            case 2:
                session.flush()
    for actor in chance.sample(users, 20):
        flag = chance.choice([ADDITION, CHANGE])
        some = User.objects.filter(pk__in=[user.pk for user in chance.sample(users, 5)])
        LogEntry.objects.log_actions(actor.pk, some, flag, [{"changed": {"fields": [WORDS[2]]}}])


def change() -> None:
    from django.contrib.auth.models import Group, Permission, User
    from django.contrib.contenttypes.models import ContentType
    from django.db.models import F, Value
    from django.db.models.functions import Concat

    User.objects.filter(is_staff=True).update(
        last_name=Concat(F("first_name"), Value(" & "), F("last_name")), is_active=False
    )
    some = list(User.objects.order_by("-pk")[:50])
    for user in some:
        user.email, user.last_login = "", None
    User.objects.bulk_update(some, ["email", "last_login"], batch_size=20)
    for n in range(0, USERS, 11):
        User.objects.update_or_create(username=f"user {n}", defaults={"first_name": "again"})
    Group.objects.bulk_create(
        [Group(pk=group.pk, name=f"{group.name}!") for group in Group.objects.all()[:9]],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["name"],
    )
    kind = ContentType.objects.create(app_label="shop", model="order")
    Permission.objects.create(codename="ship", name="Can ship", content_type=kind)
    with transaction.atomic():
        locked = User.objects.select_for_update().get(username="user 1")
        try:
            with transaction.atomic():
                Group.objects.all().delete()
                raise RuntimeError("the savepoint goes, the rest stays")
        except RuntimeError:
            locked.first_name = "after the savepoint"
            locked.save()


def remove() -> None:
    from django.contrib.admin.models import LogEntry
    from django.contrib.auth.models import Group, User
    from django.contrib.contenttypes.models import ContentType

    call_command("clearsessions")
    LogEntry.objects.filter(action_flag=2).delete()
    # With all that refers to them: permissions, memberships, the log.
    User.objects.filter(username__endswith="3").delete()
    ContentType.objects.get(app_label="shop").delete()
    first, second, third = Group.objects.order_by("pk")[:3]
    first.delete()
    second.permissions.clear()
    third.user_set.remove(*third.user_set.all()[:3])


if __name__ == "__main__":
    configure(sys.argv[1])
    {"migrate": migrate, "work": work}[sys.argv[2]]()
