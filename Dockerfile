ARG PYTHON=python:3.13-slim

FROM ${PYTHON} AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev python3-dev pkg-config default-libmysqlclient-dev libpq-dev \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
RUN --mount=type=cache,target=/root/.cache/pip python -m venv /opt/uv && /opt/uv/bin/pip install --quiet "uv>=0.9,<0.14"
ENV UV_PROJECT_ENVIRONMENT=/opt/venv UV_PYTHON=/usr/local/bin/python UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy CFLAGS=-g0 \
    UV_EXTRAS="--extra postgres --extra mysql --extra service --group image"
WORKDIR /srv
COPY pyproject.toml uv.lock ./
# The locked versions; psycopg's C implementation and mysqlclient have no wheels and are compiled.
RUN --mount=type=cache,target=/root/.cache/uv \
    /opt/uv/bin/uv sync --locked --compile-bytecode --no-install-project $UV_EXTRAS
COPY app app
# The project is installed for its version; the package's description is for people, and no reason for another image.
RUN --mount=type=cache,target=/root/.cache/uv touch README.md LICENSE \
 && /opt/uv/bin/uv sync --locked $UV_EXTRAS \
 && rm README.md LICENSE pyproject.toml uv.lock \
 && DATA_DIR=/srv/data /opt/venv/bin/python app/manage.py collectstatic --noinput \
 && /opt/venv/bin/python -m compileall -q app

FROM ${PYTHON}
LABEL org.opencontainers.image.title="Switchyard" \
      org.opencontainers.image.description="A Django service on several databases at once" \
      org.opencontainers.image.licenses="BSD-3-Clause"
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libmariadb3 libpq5 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
 && useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin switchyard
COPY --from=build /opt/venv /opt/venv
COPY --from=build /srv /srv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=config.settings DATA_DIR=/srv/data
WORKDIR /srv/app
USER 10001:10001
EXPOSE 8000 9464
# gunicorn is process 1: SIGTERM reaches it, it stops accepting and lets the requests in flight finish.
CMD ["gunicorn", "--config", "config/gunicorn.conf.py", "config.wsgi"]
