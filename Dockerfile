# avjury on the CPU: docker build -t avjury .
# The wheels of torch on PyPI bring CUDA's libraries along; --build-arg TORCH_INDEX=URL takes the same versions from an
# index of wheels for the CPU instead. docs/deploying.md has the rest.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS base
# Debian's point releases take older versions away, so pinning them would break the build: DL3008. The time zones are for
# windows of maintenance.
# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install -y --no-install-recommends ca-certificates python3 tzdata && \
    rm -rf /var/lib/apt/lists/*

FROM base AS build
# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install -y --no-install-recommends python3-venv && \
    rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY constraints.txt container-requirements.txt pyproject.toml ./
# Also of the tools that build the wheel.
ENV PIP_CONSTRAINT=/src/constraints.txt PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
ARG TORCH_INDEX=""
# The dependencies in a layer of their own: it is large, and stays when only the code changes. The usual ones are held
# to the hashes of their files.
ARG EXTRAS="postgresql notify mqtt"
RUN python3 -m venv /opt/avjury && \
    if [ -n "$TORCH_INDEX" ]; then /opt/avjury/bin/pip install --index-url "$TORCH_INDEX" torch torchvision torchaudio; fi && \
    if [ "$EXTRAS" = "postgresql notify mqtt" ]; then \
        PIP_CONSTRAINT="" /opt/avjury/bin/pip install --require-hashes -r container-requirements.txt; \
    else \
        EXTRAS="$EXTRAS" python3 -c "import os, tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*p['dependencies'], *(d for e in os.environ['EXTRAS'].split() for d in p['optional-dependencies'][e]), sep='\\n')" \
            > /tmp/requirements.txt && /opt/avjury/bin/pip install -r /tmp/requirements.txt; \
    fi
COPY . .
RUN /opt/avjury/bin/pip install --no-deps . && /opt/avjury/bin/pip check

FROM base AS avjury
LABEL org.opencontainers.image.title="avjury" \
      org.opencontainers.image.description="Judges live audio/video streams: which one is broken, how, since when, and how badly, on the CPU" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 avjury && \
    useradd --uid 10001 --gid avjury --home-dir /var/cache/avjury --no-create-home --shell /usr/sbin/nologin avjury && \
    install -d -m 0755 /etc/avjury && \
    install -d -o avjury -g avjury -m 0750 /var/lib/avjury /var/cache/avjury
COPY --from=build /opt/avjury /opt/avjury
# Compiled kernels are kept in /var/cache/avjury, so that only the first start compiles. The code is never written to.
# Without a folder of its own, torch looks for the user's name, and ends where a cluster chose a user that has none.
ENV PATH=/opt/avjury/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/var/cache/avjury \
    XDG_CACHE_HOME=/var/cache/avjury \
    NUMBA_CACHE_DIR=/var/cache/avjury/numba \
    TORCHINDUCTOR_CACHE_DIR=/var/cache/avjury/torch \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /var/lib/avjury
VOLUME ["/var/lib/avjury", "/var/cache/avjury"]
EXPOSE 8080
# Drains within service.drain_seconds (10); give it 30 before it is killed, Docker's own default is too short.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["/opt/avjury/bin/python", "-I", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["/opt/avjury/bin/avjury"]
CMD ["serve", "--config", "/etc/avjury/streams.yaml", "--data", "/var/lib/avjury", "--listen", "0.0.0.0:8080"]
