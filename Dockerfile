# Holdfast's workers: control, provider, host, analysis, gateway. Which of them a container is, its arguments say (--role).

FROM python:3.11-slim AS build
WORKDIR /source
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN python -m pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md ./
COPY src src
RUN python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.11-slim
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
RUN useradd --create-home --uid 10001 holdfast \
    && install -d -o holdfast -g holdfast -m 0700 /var/lib/holdfast
COPY requirements/runtime.txt /tmp/runtime.txt
RUN python -m pip install --no-cache-dir --require-hashes -r /tmp/runtime.txt && rm /tmp/runtime.txt
COPY --from=build /wheels /wheels
RUN python -m pip install --no-cache-dir --no-deps /wheels/*.whl && rm -r /wheels
USER 10001
WORKDIR /var/lib/holdfast
ENV HOLDFAST_DATA_DIR=/var/lib/holdfast \
    HOLDFAST_TELEMETRY__PORT=9464 \
    HOLDFAST_TELEMETRY__SDK_PORT=9465
EXPOSE 9464 9465
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['HOLDFAST_TELEMETRY__PORT'] + '/livez', timeout=4)"]
ENTRYPOINT ["python", "-m", "holdfast.workers.main"]
CMD ["--role", "all"]
