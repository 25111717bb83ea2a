# `exchange up` in one container: the whole exchange, with a Postgres and a Redis of its own.
#   docker run --read-only --tmpfs /tmp -v exchange:/data -p 127.0.0.1:8080:8080 -p 127.0.0.1:4000:4000 IMAGE
# It is for a laptop: docker-compose.yml and the manifests give each process a container of its own.
FROM python:3.11-slim AS dependencies
COPY requirements.txt /
RUN python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --no-cache-dir --no-compile --only-binary :all: \
       --require-hashes --requirement /requirements.txt \
    && find /venv -name tests -type d -prune -exec rm -rf {} + \
    && python -m compileall -q /venv/lib
# The command line, and the distribution's name and version, as an installed project would have them.
COPY pyproject.toml /
RUN printf '#!/venv/bin/python\nfrom exchange.services.cli import main\n\nmain()\n' > /venv/bin/exchange \
    && chmod 755 /venv/bin/exchange \
    && mkdir /venv/lib/python3.11/site-packages/durable_spot_exchange.dist-info \
    && sed -n 's/^version = "\(.*\)"/Metadata-Version: 2.1\nName: durable-spot-exchange\nVersion: \1/p' \
       /pyproject.toml > /venv/lib/python3.11/site-packages/durable_spot_exchange.dist-info/METADATA

FROM python:3.11-slim
ARG REVISION=unknown
ARG VERSION=unknown
LABEL org.opencontainers.image.title="Exchange" \
      org.opencontainers.image.description="A whole spot exchange in one container" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH=/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    XDG_DATA_HOME=/data
# Postgres' own tools want to know the name of whoever runs them.
RUN /usr/sbin/useradd --uid 10001 --user-group --no-create-home --home-dir /data exchange \
    && mkdir /data && chown 10001:10001 /data
COPY --from=dependencies /venv /venv
COPY LICENSE /app/
COPY services/exchange redis/exchange postgres-db/exchange engine/exchange db-processor/exchange \
     backend/exchange web/exchange websocket/exchange lab/exchange /app/exchange/
RUN python -m compileall -q /app
WORKDIR /app
USER 10001:10001
VOLUME /data
EXPOSE 8080 4000
# It stops its parts one after the other, in ten seconds at most: give `docker stop` 15.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["exchange", "status", "--json"]
ENTRYPOINT ["exchange"]
CMD ["up", "--host", "0.0.0.0"]
