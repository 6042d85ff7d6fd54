# The image of protobridge: the binary, a C library and CA certificates, without a shell. docs/operations.md describes
# how to build and check it. tests/image/run builds and runs it.
#
# It is not a static binary on `scratch`, for three reasons. The allocator of musl is slow with threads. A static
# glibc cannot resolve names as the cluster configures it. TLS needs the CA certificates of the system, and `scratch`
# has none.

# Each digest names an index that holds linux/amd64 and linux/arm64. Both bases are Debian 12, so the binary finds the C
# library that it was linked with. To use a mirror or a base of your own, pass a --build-arg.
ARG BUILDER=docker.io/library/rust:1.95-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082
ARG RUNTIME=gcr.io/distroless/cc-debian12:nonroot@sha256:9dac0a79194e45a7da0158a9c6da57b217585af0786db3845d1f0ec1a0dd182f

# `dist` has fat LTO, one codegen unit and no symbols. `release` builds faster and gives a larger binary.
ARG PROFILE=dist


# The compiler runs natively on the machine that builds, and cross-compiles. Under emulation it would take ten times as
# long.
# hadolint ignore=DL3006
FROM --platform=$BUILDPLATFORM ${BUILDER} AS toolchain
ARG CARGO_AUDITABLE_VERSION=0.7.7
# It runs for seconds only, so a debug build is enough.
RUN cargo install --locked --debug --version "$CARGO_AUDITABLE_VERSION" cargo-auditable
WORKDIR /src


# Only the files that decide how the dependencies are built: the manifests of all workspace members, and a stub for each
# target that they name. Contents and timestamps stay identical until one of these files changes.
FROM toolchain AS manifests
COPY . .
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
RUN cargo metadata --no-deps --locked --format-version 1 | grep -o '"src_path":"[^"]*"' | cut -d '"' -f 4 >/targets \
    && find . -type f ! -name Cargo.toml ! -name Cargo.lock -delete \
    && while read -r path; do mkdir -p "${path%/*}" && echo '#![allow(dead_code)] fn main() {}' >"$path"; done </targets \
    && find . -type d -empty -delete \
    && find . -exec touch --no-dereference --date @0 {} +


# The compiled dependencies. This layer is rebuilt only if the manifests or the platform change.
FROM toolchain AS dependencies
ARG TARGETARCH
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# Installs only the tools that the builder lacks. The cross compiler has no pinned version: the digest of the builder
# already fixes the release of Debian.
# hadolint ignore=DL3008
RUN case "$TARGETARCH" in \
        amd64) machine=x86_64 ;; \
        arm64) machine=aarch64 ;; \
        *) echo "there is no image for '$TARGETARCH': build --platform linux/amd64 or linux/arm64" >&2; exit 1 ;; \
    esac \
    && target=$machine-unknown-linux-gnu \
    && linker=$machine-linux-gnu-gcc \
    && if ! command -v "$linker"; then \
        apt-get update \
        && apt-get install --yes --no-install-recommends "gcc-${machine/_/-}-linux-gnu" "libc6-dev-$TARGETARCH-cross" \
        && rm -rf /var/lib/apt/lists/*; \
    fi \
    && if [ ! -d "$(rustc --print target-libdir --target "$target")" ]; then rustup target add "$target"; fi \
    && mkdir /.cargo \
    && printf '[build]\ntarget = "%s"\n[target.%s]\nlinker = "%s"\n' "$target" "$target" "$linker" >/.cargo/config.toml
ARG PROFILE
COPY --from=manifests /src .
# Without default features the binary has no embedded SQS and SNS, and no `demo`.
RUN cargo auditable build --locked --profile "$PROFILE" --no-default-features --package protobridge --bin protobridge


FROM dependencies AS build
ARG PROFILE
# The context has no repository, so the commit that `--version` names is passed on.
ARG REVISION=unknown
COPY . .
# Cargo compiled the stubs after the sources last changed, so the sources must look newer. Generated files below
# ./target keep their timestamps; otherwise Cargo would compile the dependencies again. The binary contains the list
# of its dependencies (`cargo auditable`), which scanners read as a bill of materials. The layer keeps nothing else, so
# that the cache does not grow by a target folder with each change of the source.
RUN find . -path ./target -prune -o -name '*.rs' -exec touch {} + \
    && GIT_HASH="$REVISION" cargo auditable build --locked --profile "$PROFILE" --no-default-features --package protobridge --bin protobridge \
    && cp target/*/"$PROFILE"/protobridge /protobridge \
    && rm -r target


# $TARGETPLATFORM is the default, but older versions of buildah keep the platform of the first stage.
# hadolint ignore=DL3006,DL3065
FROM --platform=$TARGETPLATFORM ${RUNTIME}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="protobridge" \
    org.opencontainers.image.description="Pulls Protobuf events from SQS and republishes them as canonical JSON to per-customer SNS topics" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$REVISION"
COPY LICENSE /usr/share/doc/protobridge/LICENSE
COPY --from=build /protobridge /usr/local/bin/protobridge
# `run`, `check` and `healthcheck` read this path. Changes are never reloaded if only the file is mounted: mount its
# folder.
ENV PROTOBRIDGE_CONFIG=/etc/protobridge/config/protobridge.yaml
# Numeric, so that Kubernetes can verify that the user is not root.
USER 65532:65532
EXPOSE 8080
# On SIGTERM the service drains.
STOPSIGNAL SIGTERM
# For Docker, Podman and ECS. Kubernetes uses its probes.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/bin/protobridge", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/protobridge"]
CMD ["run"]
