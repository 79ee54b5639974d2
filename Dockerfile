# The environment of the project, from the same lock as .venv: for Docker, Podman and Apptainer.
# The repository itself is not in it, but mounted, so that results lie in it as ever (README).
FROM debian:12-slim

# What pip reads, as in `docker build --build-arg PIP_INDEX_URL=...`; without them, its defaults.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS

RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/prefine
COPY envs/lock.txt envs/lock-no-deps.txt ./
RUN python3 -m venv . \
 && bin/pip install --no-cache-dir --progress-bar off -r lock.txt \
 && bin/pip install --no-cache-dir --progress-bar off --no-deps -r lock-no-deps.txt

# Caches go where any user may write; there need not be a home.
ENV PATH=/opt/prefine/bin:$PATH \
    MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CACHE_DIR=/tmp/numba \
    XDG_CACHE_HOME=/tmp/cache
WORKDIR /work
ENTRYPOINT ["snakemake"]
