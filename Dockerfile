# Aiki's server, workers and command line in one image: `docker run aiki server`, `docker run aiki worker orders:worker`.
# A worker's image begins FROM this one and adds its own code.

FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/aiki \
    && /opt/aiki/bin/pip install --no-cache-dir --disable-pip-version-check ".[postgres,redis]"

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="Aiki" \
      org.opencontainers.image.description="Durable workflows in plain Python" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/aiki /opt/aiki
ENV PATH="/opt/aiki/bin:${PATH}" \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --uid 10001 --create-home --home-dir /home/aiki aiki
USER 10001
WORKDIR /home/aiki
EXPOSE 9850
# Of a server; a container that runs something else turns it off. --host 0.0.0.0 needs AIKI_API_KEYS.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://localhost:9850/readyz', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["aiki"]
CMD ["server", "--host", "0.0.0.0"]
