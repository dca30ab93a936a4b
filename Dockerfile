# One image for every role: the command says which.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 \
    TROUPE_HOME=/var/lib/troupe

RUN groupadd --gid 10001 troupe \
 && useradd --uid 10001 --gid troupe --home-dir /var/lib/troupe --create-home troupe

WORKDIR /opt/troupe
COPY requirements.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY tasks tasks
COPY orchestrator orchestrator
COPY workers workers
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .

USER 10001:10001
WORKDIR /var/lib/troupe
VOLUME /var/lib/troupe

ENTRYPOINT ["troupe"]
CMD ["--help"]
