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
# Install the locked versions. psycopg's C implementation and mysqlclient have no wheels, so they are compiled.
RUN --mount=type=cache,target=/root/.cache/uv \
    /opt/uv/bin/uv sync --locked --compile-bytecode --no-install-project $UV_EXTRAS
COPY app app
# Install the project for its version. An empty README.md is enough; the real README would change the image with each edit.
# Nothing reads the sources of translations and of the compiled C code: 16 MB.
RUN --mount=type=cache,target=/root/.cache/uv touch README.md LICENSE \
 && /opt/uv/bin/uv sync --locked $UV_EXTRAS \
 && rm README.md LICENSE pyproject.toml uv.lock \
 && find /opt/venv \( -name '*.po' -o -path '*/psycopg_c/*.c' \) -delete \
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
# gunicorn is process 1 and gets SIGTERM: it accepts no more requests and finishes the requests in progress.
CMD ["gunicorn", "--config", "config/gunicorn.conf.py", "config.wsgi"]
