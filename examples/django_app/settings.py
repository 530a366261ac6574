"""As little as Django needs."""

SECRET_KEY = "only for this example"  # noqa: S105 - nothing is signed with it
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
ROOT_URLCONF = "django_app.urls"
USE_TZ = True
