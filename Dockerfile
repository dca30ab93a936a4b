# One image for every role: the command says which. Nothing of what builds it is left in it: no compiler, no pip, no cache.
#   docker build --tag troupe .
#   docker build --tag troupe --build-arg OTEL=true .     with OpenTelemetry's SDK
FROM python:3.11-slim AS build

ARG OTEL=false
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

RUN python -m venv /opt/troupe
WORKDIR /build
COPY requirements.lock ./
RUN /opt/troupe/bin/pip install --require-hashes --requirement requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY tasks tasks
COPY orchestrator orchestrator
COPY workers workers
RUN /opt/troupe/bin/pip install --no-deps --no-build-isolation . \
 && if [ "$OTEL" != true ]; then \
      # redis-py loads the SDK at import, wherever it is installed.
      /opt/troupe/bin/pip uninstall --yes opentelemetry-sdk opentelemetry-exporter-otlp-proto-http; \
    fi \
 && /opt/troupe/bin/pip uninstall --yes hatchling editables pip \
 && /opt/troupe/bin/python -c "import orchestrator, workers, tasks"

FROM python:3.11-slim

# Bytecode was written by pip: the root is read-only where this runs.
ENV PATH=/opt/troupe/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TROUPE_HOME=/var/lib/troupe

RUN groupadd --gid 10001 troupe \
 && useradd --uid 10001 --gid troupe --home-dir /var/lib/troupe --create-home --shell /usr/sbin/nologin troupe

COPY --from=build /opt/troupe /opt/troupe

USER 10001:10001
WORKDIR /var/lib/troupe
VOLUME /var/lib/troupe

# What is healthy differs by role: docker-compose.yml and deploy/kubernetes say it for each.
HEALTHCHECK NONE

ENTRYPOINT ["troupe"]
CMD ["--help"]
