# shellcheck shell=bash
# Sourced by up.sh: the configuration of containerd, of its network plugins, of the kubelet and of kube-proxy.

# Arguments: the folders of the configuration, of the state and of the keys, the control group of the pods, and their
# addresses.
write_configuration() {
    local conf=$1 work=$2 pki=$3 cgroup=$4 pods=$5
    mkdir -p "$conf/cni"
    cat >"$conf/cni/10-pods.conflist" <<EOF
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local", "dataDir": "$work/addresses",
   "ranges": [[{"subnet": "$pods"}]], "routes": [{"dst": "0.0.0.0/0"}]}}
]}
EOF
    # `restrict_oom_score_adj` and `disable_apparmor` let it run in a container or in a process namespace.
    cat >"$conf/containerd.toml" <<EOF
version = 3
root = "$work/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "localhost/pause:1"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/usr/lib/cni", "/opt/cni/bin"]
  conf_dir = "$conf/cni"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
EOF
    # All pods share the processors of this machine, however many there are, so nothing is evicted but for want of
    # memory. The pods resolve names in the cluster only.
    printf 'nameserver 10.96.0.10\n' >"$conf/resolv.conf"
    cat >"$conf/kubelet.yaml" <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
cgroupRoot: $cgroup
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
resolvConf: $conf/resolv.conf
volumePluginDir: $work/plugins
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
EOF
    cat >"$conf/proxy.yaml" <<EOF
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: $pods
clientConnection: {kubeconfig: $conf/proxy.kubeconfig}
hostnameOverride: node1
conntrack: {maxPerCore: 0, min: 0}
EOF
}
