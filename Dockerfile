# The image of protobridge: the binary, a C library, CA certificates, and no shell. docs/operations.md says how it is built
# and checked; tests/image/run builds and runs it.
#
# Why not a static binary on `scratch`: musl's allocator is slow under threads, a static glibc cannot look names up the way
# the cluster configures it, and TLS takes its roots from the CA certificates of the system, which `scratch` has none of.

# Each digest is that of an index which holds linux/amd64 and linux/arm64. Both are Debian 12, so the binary finds the C
# library that it was linked with. A mirror, or a base of your own, is a --build-arg.
ARG BUILDER=docker.io/library/rust:1.95-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082
ARG RUNTIME=gcr.io/distroless/cc-debian12:nonroot@sha256:9dac0a79194e45a7da0158a9c6da57b217585af0786db3845d1f0ec1a0dd182f

# `dist` has fat LTO, one codegen unit and no symbols; `release` is quicker to build and larger.
ARG PROFILE=dist


# The compiler runs on the machine that builds and cross-compiles from there: under emulation it would take ten times as long.
# hadolint ignore=DL3006
FROM --platform=$BUILDPLATFORM ${BUILDER} AS toolchain
ARG CARGO_AUDITABLE_VERSION=0.7.7
# It works for seconds, so it is not worth optimising.
RUN cargo install --locked --debug --version "$CARGO_AUDITABLE_VERSION" cargo-auditable
WORKDIR /src


# What decides how the dependencies are built, and nothing else: the manifests of all members, whichever there are, and a
# stub for each target that they name. It is the same, to the byte and the second, until one of these changes.
FROM toolchain AS manifests
COPY . .
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
RUN cargo metadata --no-deps --locked --format-version 1 | grep -o '"src_path":"[^"]*"' | cut -d '"' -f 4 >/targets \
    && find . -type f ! -name Cargo.toml ! -name Cargo.lock -delete \
    && while read -r path; do mkdir -p "${path%/*}" && echo '#![allow(dead_code)] fn main() {}' >"$path"; done </targets \
    && find . -type d -empty -delete \
    && find . -exec touch --no-dereference --date @0 {} +


# Everything that others wrote, compiled: a layer that is made again when the manifests change, or the platform.
FROM toolchain AS dependencies
ARG TARGETARCH
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# Fetches only what this builder does not have. A version of the cross compiler would name nothing that the digest of the
# builder's release of Debian does not.
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
# Without default features there is no embedded SQS and SNS inside, and no `demo`.
RUN cargo auditable build --locked --profile "$PROFILE" --no-default-features --package protobridge --bin protobridge


FROM dependencies AS build
ARG PROFILE
COPY . .
# The stubs were compiled after the sources were last changed, so these have to look newer; not what dependencies have
# generated, which would be compiled again. The binary carries the list of
# its dependencies (`cargo auditable`), which scanners read as its bill of materials.
RUN find . -path ./target -prune -o -name '*.rs' -exec touch {} + \
    && cargo auditable build --locked --profile "$PROFILE" --no-default-features --package protobridge --bin protobridge \
    && cp target/*/"$PROFILE"/protobridge /protobridge


# The platform is what it would be anyway, but older versions of buildah stay with that of the first stage.
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
# `run`, `check` and `healthcheck` all read it. Mount its folder, not the file: a file would never be seen to change.
ENV PROTOBRIDGE_CONFIG=/etc/protobridge/config/protobridge.yaml
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 8080
# SIGTERM drains.
STOPSIGNAL SIGTERM
# For Docker, Podman and ECS; Kubernetes has its probes.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/bin/protobridge", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/protobridge"]
CMD ["run"]
