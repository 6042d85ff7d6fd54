#!/usr/bin/env bash
# Starts a Kubernetes of one node and runs a command beside it. tests/cluster/run starts this script as the first
# process of a network, mount and process namespace, so the kernel ends all processes and mounts together with it.
#
#   up.sh WORK BIN IMAGES CGROUP COMMAND [ARGUMENT...]
#
# WORK is a folder for the state of this run, BIN has the programs, and IMAGES has the archives of the images. CGROUP is
# an existing control group for the pods.
#
# The network: the node is 192.0.2.1. Beyond it is a namespace `outside` with the address 192.0.2.10, for servers that
# are no part of the cluster. Pods have addresses of 10.244.0.0/24, services of 10.96.0.0/16. No route leads out.
set -euo pipefail

here=$(dirname "$0")
# shellcheck source=tests/cluster/configuration.sh
. "$here/configuration.sh"
work=$1 bin=$2 images=$3 cgroup=$4
shift 4
node=192.0.2.1 outside=192.0.2.10 pods=10.244.0.0/24
log=$work/log pki=$work/pki conf=$work/conf
mkdir -p "$log" "$pki" "$conf"
export PATH=$bin:/usr/sbin:/usr/bin:/sbin:/bin

say() { printf 'cluster: %s\n' "$*" >&2; }
die() { say "FAILED: $*"; exit 1; }

# --- Mounts and network

# What is written to these folders ends with the mounts: sockets, locks, logs of pods, and the state of plugins.
for folder in /run /var/log; do mount -t tmpfs -o mode=0755 tmpfs "$folder"; done
mkdir -p /run/lock /run/netns /run/upper /run/overlay
mount -t overlay -o lowerdir=/var/lib,upperdir=/run/upper,workdir=/run/overlay overlay /var/lib
# The DNS server mounts it from here.
touch /run/kube && mount --bind "$bin/kube" /run/kube
# The kubelet passes mounts on to containers.
mount --make-rshared /

ip link set lo up
ip netns add outside
ip link add node type veth peer name outside netns outside
ip addr add "$node/24" dev node
ip link set node up
ip route add default via "$outside"
ip -n outside link set lo up
ip -n outside addr add "$outside/24" dev outside
ip -n outside link set outside up
ip -n outside route add default via "$node"
sysctl -qw net.ipv4.ip_forward=1

# Puts the first packet of each connection to or from a pod into the queue of the policy engine. The engine's own rules
# need a kernel with nft_queue. Connections of the node itself pass, as the probes of the kubelet must.
for direction in --source --destination; do
    iptables --table mangle --append POSTROUTING "$direction" "$pods" --match conntrack --ctstate NEW \
        --match owner ! --uid-owner 0 --jump NFQUEUE --queue-num 100
done

# --- Identities

certificate() {
    local name=$1 subject=$2 extension=${3:-}
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$pki/$name.key" -subj "$subject" \
        2>/dev/null |
        openssl x509 -req -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 2 -out "$pki/$name.crt" \
            -extfile <(printf '%s' "$extension") 2>/dev/null
}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$pki/ca.key" -out "$pki/ca.crt" -days 2 \
    -subj /CN=ca 2>/dev/null
certificate apiserver /CN=kube-apiserver \
    "subjectAltName=IP:127.0.0.1,IP:$node,IP:10.96.0.1,DNS:kubernetes.default.svc,DNS:localhost"
certificate apiserver-kubelet /O=system:masters/CN=apiserver-kubelet
openssl ecparam -genkey -name prime256v1 -noout -out "$pki/accounts.key" 2>/dev/null

# User, name in Kubernetes, group.
while read -r user name group; do
    token=$(openssl rand -hex 16)
    printf '%s,%s,%s%s\n' "$token" "$name" "$user" "${group:+,$group}" >>"$pki/tokens.csv"
    cat >"$conf/$user.kubeconfig" <<EOF
apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:6443", certificate-authority: $pki/ca.crt}}]
users: [{name: $user, user: {token: $token}}]
contexts: [{name: test, context: {cluster: test, user: $user}}]
current-context: test
EOF
done <<'EOF'
admin admin system:masters
controller-manager system:kube-controller-manager
scheduler system:kube-scheduler
proxy system:kube-proxy
node system:node:node1 system:nodes
policies policies
deployer deployer
EOF

# --- Control plane

start() {
    local name=$1
    shift
    "$@" >"$log/$name.log" 2>&1 &
}
# Waits until a command succeeds. Arguments: seconds, what is awaited, the command.
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || die "timed out waiting until $what: see $log"
        sleep 0.1
    done
}
config() { printf '%s/%s.kubeconfig' "$conf" "$1"; }
as_admin() { kube kubectl --kubeconfig "$(config admin)" "$@"; }

write_configuration "$conf" "$work" "$pki" "$cgroup" "$pods"
start etcd kube etcd --data-dir "$work/etcd" --listen-client-urls http://127.0.0.1:2379 \
    --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 --unsafe-no-fsync \
    --log-level warn
start apiserver kube apiserver --etcd-servers http://127.0.0.1:2379 --advertise-address "$node" --secure-port 6443 \
    --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" --client-ca-file "$pki/ca.crt" \
    --token-auth-file "$pki/tokens.csv" --kubelet-client-certificate "$pki/apiserver-kubelet.crt" \
    --kubelet-client-key "$pki/apiserver-kubelet.key" --kubelet-preferred-address-types InternalIP \
    --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$pki/accounts.key" \
    --service-account-signing-key-file "$pki/accounts.key" --authorization-mode Node,RBAC \
    --enable-admission-plugins NodeRestriction --service-cluster-ip-range 10.96.0.0/16 --allow-privileged
start containerd containerd --config "$conf/containerd.toml"
wait_for 60 "the API server is ready" as_admin get --raw /readyz
say "API server ready after $SECONDS s"
start controller-manager kube controller-manager --kubeconfig "$(config controller-manager)" \
    --service-account-private-key-file "$pki/accounts.key" --root-ca-file "$pki/ca.crt" \
    --use-service-account-credentials --leader-elect=false
start scheduler kube scheduler --kubeconfig "$(config scheduler)" --leader-elect=false

# --- Node

for archive in "$images"/*.tar; do
    wait_for 60 "containerd has the image $archive" ctr --address /run/containerd/containerd.sock --namespace k8s.io \
        images import --local "$archive"
done
wait_for 60 "the objects of the system are accepted" as_admin apply --filename "$here/manifests/system.yaml"
start kubelet kube kubelet --config "$conf/kubelet.yaml" --kubeconfig "$(config node)" --root-dir "$work/kubelet" \
    --cert-dir "$work/kubelet/pki" --hostname-override node1 --node-ip "$node"
start proxy kube proxy --config "$conf/proxy.yaml"
start policies kube policies --kubeconfig "$(config policies)" --hostname-override node1
wait_for 60 "the node is ready" as_admin wait --for condition=Ready --timeout 1s node/node1
wait_for 60 "the DNS server is ready" \
    as_admin --namespace kube-system wait --for condition=Ready --timeout 1s pod/dns
say "node and DNS ready after $SECONDS s"

"$@"
