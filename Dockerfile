# syntax=docker/dockerfile:1
ARG PYTHON_VERSION=3.13

FROM python:${PYTHON_VERSION}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/dni-allocator
WORKDIR /build
# Dependencies first: they change less often than the code.
COPY requirements.lock ./
RUN /opt/dni-allocator/bin/pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/dni-allocator/bin/pip install --no-deps --no-build-isolation .

FROM python:${PYTHON_VERSION}-slim
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/dni-allocator dni \
    && install --directory --owner dni --group dni --mode 0700 /var/lib/dni-allocator
COPY --from=build /opt/dni-allocator /opt/dni-allocator
ENV PATH=/opt/dni-allocator/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DNI_HOST=0.0.0.0 \
    DNI_PORT=8000 \
    DNI_DATA_DIR=/var/lib/dni-allocator
USER dni
WORKDIR /var/lib/dni-allocator
# Only of use with the embedded Valkey, that is without DNI_REDIS_URL.
VOLUME /var/lib/dni-allocator
EXPOSE 8000
STOPSIGNAL SIGTERM
# Of the process, not of its dependencies: a restart mends no broken Redis.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['DNI_PORT'] + '/livez', timeout=2)"]
ENTRYPOINT ["dni-allocator"]
CMD ["serve"]
