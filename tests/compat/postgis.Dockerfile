# PostGIS on the server image of the other tests.
FROM postgres:18
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql-18-postgis-3 && rm -rf /var/lib/apt/lists/*
