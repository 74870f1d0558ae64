#!/usr/bin/env bash
# A real API server of Kubernetes 1.20, with its controllers and scheduler and without nodes, built from Debian's source.
# Usage: kubernetes.sh CMD...   runs CMD with KUBECONFIG; builds once, about half an hour on two cores. Root on Debian 12.
set -euo pipefail

place=${DSVC_TEST_CACHE:-$HOME/.cache/dsvc-tests}/kubernetes
mkdir -p "$place" && cd "$place"

build() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends golang-go etcd-server make
    mkdir -p sources lists/partial
    sed 's/^Types: deb$/Types: deb-src/' /etc/apt/sources.list.d/debian.sources > sources/source.sources
    local only=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$place/sources" -o "Dir::State::lists=$place/lists")
    apt-get "${only[@]}" update && apt-get "${only[@]}" source --download-only kubernetes
    tar xzf kubernetes_*.orig.tar.gz
    cd kubernetes-1.20.*/
    mkdir -p .go/src/k8s.io && ln -sfn ../../.. .go/src/k8s.io/kubernetes
    printf "%s\n" "KUBE_GIT_COMMIT=unknown" "KUBE_GIT_TREE_STATE=clean" "KUBE_GIT_VERSION=v1.20.2" \
        "KUBE_GIT_MAJOR=1" "KUBE_GIT_MINOR=20" > ../version
    GOPATH=$PWD/.go CGO_ENABLED=0 GOPROXY=off KUBE_GIT_VERSION_FILE=$place/version \
        nice -n 19 make WHAT='cmd/kube-apiserver cmd/kube-controller-manager cmd/kube-scheduler'
    mkdir -p ../bin && cp _output/local/bin/linux/amd64/kube-* ../bin/
}
[ -x bin/kube-scheduler ] || (build) >&2

run=$(mktemp -d) started=()
end() { kill "${started[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$run"; }
trap end EXIT
start() { "$@" > "$run/$(basename "$1").log" 2>&1 & started+=($!); }

openssl genrsa -out "$run/key" 2048 2>/dev/null
echo 'test,admin,1,system:masters' > "$run/tokens"
store=http://127.0.0.1:22379 peers=http://127.0.0.1:22380
start etcd --data-dir "$run/etcd" --listen-client-urls $store --advertise-client-urls $store \
    --listen-peer-urls $peers --initial-advertise-peer-urls $peers --initial-cluster default=$peers
start "$place/bin/kube-apiserver" --etcd-servers=$store --bind-address=127.0.0.1 --advertise-address=127.0.0.1 \
    --secure-port=26443 --insecure-port=0 --service-cluster-ip-range=10.99.0.0/24 --authorization-mode=RBAC \
    --token-auth-file="$run/tokens" --cert-dir="$run" --service-account-key-file="$run/key" \
    --service-account-signing-key-file="$run/key" --service-account-issuer=https://kubernetes.default.svc
cat > "$run/config" <<END
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: me, namespace: default}}]
clusters: [{name: here, cluster: {server: "https://127.0.0.1:26443", insecure-skip-tls-verify: true}}]
users: [{name: me, user: {token: test}}]
END
for _ in $(seq 120); do curl -sfk -H 'Authorization: Bearer test' https://127.0.0.1:26443/readyz >/dev/null && break; sleep 1; done
start "$place/bin/kube-controller-manager" --kubeconfig="$run/config" --service-account-private-key-file="$run/key" \
    --bind-address=127.0.0.1 --port=0 --secure-port=26444 --cert-dir="$run" --leader-elect=false
start "$place/bin/kube-scheduler" --kubeconfig="$run/config" --leader-elect=false --bind-address=127.0.0.1 --port=0 \
    --secure-port=26445 --cert-dir="$run"
cd "$OLDPWD"
KUBECONFIG=$run/config "$@"
