# shellcheck shell=bash disable=SC2034
# Sourced by tests/image/run and tests/platform/run: where buildah and podman keep the image.

# Sets `storage`, the options of buildah and podman for the storage below the folder $1. It is a storage of its own, so
# that the images and containers of the user stay untouched. The driver `overlay` keeps each layer once. `vfs` keeps a
# whole file system per layer, about 10 GB for one build, and is for file systems that overlay cannot use. The storage
# that exists decides, so every script uses the same one.
image_storage() {
    local driver=vfs
    [ ! -d "$1/storage/overlay" ] || driver=overlay
    storage=(--storage-driver "$driver" --root "$1/storage/$driver" --runroot "$1/run")
}

# Makes the storage below the folder $1 with the best driver that works there. Needs root.
make_image_storage() {
    local probe=$1/probe
    mkdir -p "$probe"/{lower,upper,work,merged} "$1/storage/vfs"
    if mount -t overlay overlay -o "lowerdir=$probe/lower,upperdir=$probe/upper,workdir=$probe/work" "$probe/merged" 2>/dev/null
    then
        umount "$probe/merged"
        mkdir -p "$1/storage/overlay"
    fi
    rm -rf "$probe"
}
