{{/*
Checks what values.schema.json cannot express. Each message names the key, the value and the fix. All messages come at
once.
*/}}
{{- define "protobridge.validate" -}}
{{- $root := . }}
{{- $v := .Values }}
{{- $problems := list }}

{{- $name := include "protobridge.fullname" . }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) }}
{{- $problems = append $problems (printf "the full name is %q, but the name of a Service consists of lower-case letters, digits and -, and begins with a letter: set fullnameOverride to a valid name" $name) }}
{{- end }}
{{- if not $v.image.repository }}
{{- $problems = append $problems "image.repository is empty: there is no public image; build an image with the Dockerfile, push it to your registry, and set its name here" }}
{{- end }}

{{- /* The configuration. */}}
{{- if not $v.config.queues }}
{{- $problems = append $problems "config.queues is empty: name at least one queue to receive from, such as [{url: https://sqs.eu-west-1.amazonaws.com/123456789012/events}]" }}
{{- end }}
{{- $path := dig "descriptors" "path" "" $v.config }}
{{- $place := include "protobridge.place.descriptors" . }}
{{- if and $path (ne $path $place) }}
{{- if hasPrefix "s3://" $path }}
{{- $problems = append $problems (printf "config.descriptors.path is %q, but the chart sets this key itself: remove it, and set descriptors.s3.uri to that URL" $path) }}
{{- else }}
{{- $problems = append $problems (printf "config.descriptors.path is %q, but the chart sets it to %q: remove the key, and set the source of the sets under `descriptors`" $path $place) }}
{{- end }}
{{- end }}
{{- $file := dig "route" "customers_file" "" $v.config }}
{{- $place = include "protobridge.place.customers" . }}
{{- if and $file (ne $file $place) }}
{{- if hasPrefix "s3://" $file }}
{{- $problems = append $problems (printf "config.route.customers_file is %q, but the chart sets this key itself: remove it, and set customers.s3.uri to that URL" $file) }}
{{- else }}
{{- $problems = append $problems (printf "config.route.customers_file is %q, but the chart sets it to %q: remove the key, and set the source of the customers under `customers`" $file $place) }}
{{- end }}
{{- end }}
{{- $listen := include "protobridge.listen" . }}
{{- $port := include "protobridge.adminPort" . | int64 }}
{{- if regexMatch "^(127\\.|\\[::1\\]|localhost)" $listen }}
{{- $problems = append $problems (printf "config.admin.listen is %q, which the kubelet cannot reach: listen on 0.0.0.0 or [::]" $listen) }}
{{- end }}
{{- if or (lt $port 1024) (gt $port 65535) }}
{{- $problems = append $problems (printf "config.admin.listen is %q: probes require a fixed port, and the service, which does not run as root, a port from 1024 to 65535: set it to 0.0.0.0:8080, for example" $listen) }}
{{- end }}
{{- range $key, $url := dict "dedupe.redis_url" (dig "dedupe" "redis_url" "" $v.config) "confluent.registry_url" (dig "confluent" "registry_url" "" $v.config) }}
{{- if and $url (regexMatch "^[a-z]+://[^/@]*:[^/@]+@" $url) }}
{{- $problems = append $problems (printf "config.%s contains a password, and everyone who can read ConfigMaps would see it: put the URL into a Secret, and refer to the Secret in extraEnv: {name: PROTOBRIDGE_%s, valueFrom: {secretKeyRef: …}}" $key ($key | replace "." "_" | upper)) }}
{{- end }}
{{- end }}
{{- if hasKey $v.configFiles "protobridge.yaml" }}
{{- $problems = append $problems "configFiles has protobridge.yaml, which is the name of the configuration file: set its keys under `config`" }}
{{- end }}
{{- range $name, $_ := $v.configFiles }}
{{- if not (regexMatch "^[-._a-zA-Z0-9]+$" $name) }}
{{- $problems = append $problems (printf "configFiles has the name %q: the name of a file in a ConfigMap consists of letters, digits, -, _ and ., without a folder: rename the file" $name) }}
{{- end }}
{{- end }}
{{- range $owned, $key := dict "PROTOBRIDGE_DESCRIPTORS_PATH" "descriptors" "PROTOBRIDGE_ROUTE_CUSTOMERS_FILE" "customers" "PROTOBRIDGE_ADMIN_LISTEN" "config.admin.listen" "PROTOBRIDGE_SHUTDOWN_DRAIN_TIMEOUT_SECONDS" "config.shutdown.drain_timeout_seconds" }}
{{- if include "protobridge.hasVariable" (list $root $owned) }}
{{- $problems = append $problems (printf "extraEnv has %s, which would override a value that the chart relies on: set `%s` instead" $owned $key) }}
{{- end }}
{{- end }}

{{- /* Customers. */}}
{{- $sources := include "protobridge.customerSources" . | splitList " " | compact }}
{{- if gt (len $sources) 1 }}
{{- $problems = append $problems (printf "customers has %d sources, %s: keep one" (len $sources) (join " and " $sources)) }}
{{- end }}
{{- if and (not $sources) (lt (dig "route" "max_removed_percent" 20 $v.config | int) 100) }}
{{- $problems = append $problems "customers has no source, and the service refuses to start without customers: set one of customers.inline, customers.existingConfigMap.name, customers.persistentVolumeClaim.claimName, customers.s3.uri, or set config.route.max_removed_percent to 100 to treat every event as config.route.unknown_customer says" }}
{{- end }}
{{- $template := dig "route" "topic_template" "" $v.config }}
{{- $profiles := append (keys (dig "profiles" (dict) $v.config)) "default" }}
{{- $ids := dict }}
{{- range $index, $customer := $v.customers.inline }}
{{- if hasKey $ids $customer.id }}
{{- $problems = append $problems (printf "customers.inline[%d].id %q occurs twice: remove one of them" $index $customer.id) }}
{{- end }}
{{- $_ := set $ids $customer.id true }}
{{- if not (or $customer.topic $template) }}
{{- $problems = append $problems (printf "customers.inline[%d] (%s) has no topic: set its topic, or config.route.topic_template" $index $customer.id) }}
{{- end }}
{{- if and $customer.profile (not (has $customer.profile $profiles)) }}
{{- $problems = append $problems (printf "customers.inline[%d] (%s) has the profile %q, which is not in config.profiles: add it there, or use one of %s" $index $customer.id $customer.profile (join ", " (uniq $profiles | sortAlpha))) }}
{{- end }}
{{- end }}

{{- /* Descriptor sets. */}}
{{- $sources = include "protobridge.descriptorSources" . | splitList " " | compact }}
{{- if not $sources }}
{{- $problems = append $problems "descriptors has no source: set one of descriptors.inline, descriptors.existingConfigMap, descriptors.persistentVolumeClaim.claimName, descriptors.image.reference, descriptors.s3.uri" }}
{{- end }}
{{- if gt (len $sources) 1 }}
{{- $problems = append $problems (printf "descriptors has %d sources, %s: keep one" (len $sources) (join " and " $sources)) }}
{{- end }}
{{- /* Values of the containers that copied the sets. `--reuse-values` brings them back, also their defaults. */}}
{{- if has "s3" $sources }}
{{- $instead := dict "refreshSeconds" "set config.descriptors.poll_seconds, which is 30 by default" "image" "remove it" "args" "remove it" "sizeLimit" "set config.descriptors.max_total_bytes and raise resources.limits.memory" "extraEnv" "set the endpoint with config.aws.s3_endpoint_url, and other variables with extraEnv" "resources" "remove it" }}
{{- range $key := keys $instead | sortAlpha }}
{{- if hasKey $v.descriptors.s3 $key }}
{{- $problems = append $problems (printf "descriptors.s3.%s has no effect any more, because the service itself reads the bucket and no container copies it: %s; with `helm upgrade --reuse-values`, use --reset-then-reuse-values instead" $key (get $instead $key)) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $set := $v.descriptors.inline }}
{{- if not (regexMatch "^[-_a-zA-Z0-9][-._a-zA-Z0-9]*\\.(desc|binpb|pb|protoset|fds|bin)(\\.gz)?$" $name) }}
{{- $problems = append $problems (printf "descriptors.inline has the name %q: the service reads files whose names end in .desc, .binpb, .pb, .protoset, .fds or .bin, or in one of these and .gz, and a ConfigMap allows only letters, digits, -, _ and . in names: rename the file" $name) }}
{{- end }}
{{- $text := include "protobridge.base64" $set }}
{{- if or (not $text) (ne (b64enc (b64dec $text)) $text) }}
{{- $problems = append $problems (printf "descriptors.inline.%s is not base64: pass `--set-file` the output of `base64 %s`, not the binary set" $name $name) }}
{{- end }}
{{- end }}
{{- if and $v.descriptors.image.reference (semverCompare "<1.31.0-0" .Capabilities.KubeVersion.Version) }}
{{- $problems = append $problems (printf "descriptors.image requires Kubernetes 1.31 or newer, but this cluster has %s: use descriptors.s3 or descriptors.persistentVolumeClaim" .Capabilities.KubeVersion.Version) }}
{{- end }}

{{- /* The size of the inline values. */}}
{{- $bytes := include "protobridge.recordBytes" . | int64 }}
{{- $room := include "protobridge.recordRoom" . | int64 }}
{{- if gt $bytes $room }}
{{- $ways := list }}
{{- if $v.descriptors.inline }}{{ $ways = append $ways "compress the sets with `gzip -9` and name them such as shop.binpb.gz, or set descriptors.s3.uri, or set descriptors.existingConfigMap" }}{{ end }}
{{- if $v.customers.inline }}{{ $ways = append $ways "set customers.s3.uri or customers.existingConfigMap.name" }}{{ end }}
{{- if $v.configFiles }}{{ $ways = append $ways "mount the larger files with extraVolumes and extraVolumeMounts" }}{{ end }}
{{- $ways = default (list "shorten config") $ways }}
{{- $problems = append $problems (printf "the inline values are too large for Helm's record of the release, a Secret of 1 MiB that has them twice, beside the chart: descriptors.inline has %s bytes, config and configFiles have %s, and customers.inline, which counts by half, has %s; that is %d, and the limit is %d: %s" (include "protobridge.inlineBytes" .) (include "protobridge.configBytes" .) (include "protobridge.customersBytes" .) $bytes $room (join "; " $ways)) }}
{{- end }}

{{- /* The store. */}}
{{- $url := dig "store" "url" "" $v.config | default "" }}
{{- $folder := include "protobridge.storeFolder" . }}
{{- if and $v.store.volume (not $folder) }}
{{- $problems = append $problems (printf "store.volume is set, but config.store.url is %q, so the chart does not know where to mount the volume: set config.store.url to a folder, such as file:///var/lib/protobridge, or remove store.volume" $url) }}
{{- end }}
{{- if and $folder (not $v.store.volume) }}
{{- $isMounted := false }}
{{- range $v.extraVolumeMounts }}{{ if hasPrefix (printf "%s/" (clean .mountPath)) (printf "%s/" $folder) }}{{ $isMounted = true }}{{ end }}{{ end }}
{{- if not $isMounted }}
{{- $problems = append $problems (printf "config.store.url is %q, but no volume is mounted there, and the container's own files are read-only: set store.volume, or use a bucket (s3://…)" $url) }}
{{- end }}
{{- end }}
{{- if and $v.store.volume.persistentVolumeClaim (not $v.store.shared) }}
{{- if include "protobridge.mayBeSeveral" . }}
{{- $problems = append $problems "store.volume is a claim, and more than one pod can run, but most volumes can be written from one node only: use a bucket (s3://…), or run one pod, or set store.shared to true if the claim is ReadWriteMany" }}
{{- end }}
{{- if and (eq $v.strategy.type "RollingUpdate") (ne (toString $v.strategy.rollingUpdate.maxSurge) "0") }}
{{- $problems = append $problems "store.volume is a claim, and strategy.type is RollingUpdate, so a new pod on another node would wait forever for the volume of the old one: set strategy.type to Recreate, or set store.shared to true if the claim is ReadWriteMany" }}
{{- end }}
{{- end }}

{{- if and (dig "archive" "enabled" false $v.config) (not $url) (not (include "protobridge.hasVariable" (list $root "PROTOBRIDGE_STORE_URL"))) }}
{{- $problems = append $problems "config.archive.enabled is true, but config.store.url is not set, so there is no place for the archive: set config.store.url, such as s3://acme-protobridge/prod, or set config.archive.enabled to false" }}
{{- end }}

{{- /* The Jobs. */}}
{{- range $kind := list "replay" "redrive" }}
{{- $job := index $v $kind }}
{{- if $job.enabled }}
{{- if and $job.irsa.roleArn $v.aws.podIdentity.enabled }}
{{- $problems = append $problems (printf "%s.irsa.roleArn and aws.podIdentity.enabled are both set, and the SDK would use IRSA: keep one" $kind) }}
{{- end }}
{{- if and $job.irsa.roleArn (not $job.serviceAccount.create) }}
{{- $problems = append $problems (printf "%s.irsa.roleArn is set, but %s.serviceAccount.create is false, so the chart cannot annotate the ServiceAccount: annotate it with eks.amazonaws.com/role-arn yourself, and leave %s.irsa.roleArn empty" $kind $kind $kind) }}
{{- end }}
{{- if and $v.aws.irsa.roleArn $job.serviceAccount.create (not $job.irsa.roleArn) (not (hasKey $job.serviceAccount.annotations "eks.amazonaws.com/role-arn")) }}
{{- $problems = append $problems (printf "%s.enabled is true, and the service has its role by aws.irsa.roleArn, but the Job has no role: create one with the policy of `protobridge iam-policy --for %s`, and set %s.irsa.roleArn to its ARN" $kind $kind $kind) }}
{{- end }}
{{- if and $v.store.volume.persistentVolumeClaim (not $v.store.shared) }}
{{- $problems = append $problems (printf "%s.enabled is true, and store.volume is a claim that the pods of several nodes cannot share, so the pod of the Job could wait forever for the volume: use a bucket (s3://…), or set store.shared to true if the claim is ReadWriteMany" $kind) }}
{{- end }}
{{- if or (hasKey $v.store.volume "emptyDir") (hasKey $v.store.volume "ephemeral") }}
{{- $problems = append $problems (printf "%s.enabled is true, and the volume of the store belongs to one pod of the service, so the Job would find an empty store: use a bucket (s3://…) or a claim" $kind) }}
{{- end }}
{{- end }}
{{- end }}
{{- if $v.replay.enabled }}
{{- if not (or $url (include "protobridge.hasVariable" (list $root "PROTOBRIDGE_STORE_URL"))) }}
{{- $problems = append $problems "replay.enabled is true, but config.store.url is not set, so there is no archive to replay: set it to the store of the archive, or set replay.enabled to false" }}
{{- end }}
{{- if and (not $v.replay.dryRun) (not $v.replay.name) }}
{{- $problems = append $problems "replay.enabled is true, but replay.name is empty, so a pod that replaces another one could not continue its replay: set a name that no other replay has, such as after-incident-42, or set replay.dryRun to true" }}
{{- end }}
{{- if and $v.replay.unconfirmed (not $v.replay.customer) }}
{{- $problems = append $problems "replay.unconfirmed is true, but replay.customer is empty: set the customer whose missing events are sent, or set replay.unconfirmed to false" }}
{{- end }}
{{- range $key := list "from" "to" }}
{{- if not (index $v.replay $key) }}
{{- $problems = append $problems (printf "replay.enabled is true, but replay.%s is empty: set the window to replay, such as from: 2026-11-28T12:00:00Z and to: 2026-11-28T12:05:00Z" $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- if $v.redrive.enabled }}
{{- if and $v.redrive.toSource $v.redrive.customer }}
{{- $problems = append $problems "redrive.toSource and redrive.customer are both set, but a message that returns to its source queue is published to all customers who lack it: keep one" }}
{{- end }}
{{- $queues := list }}
{{- range $v.config.queues }}{{ $queues = append $queues (default (base .url) .name) }}{{ end }}
{{- if not (has $v.redrive.queue $queues) }}
{{- $problems = append $problems (printf "redrive.enabled is true, and redrive.queue is %q, which is no queue of the configuration: use one of %s" $v.redrive.queue (join ", " $queues)) }}
{{- end }}
{{- end }}

{{- /* Identity. */}}
{{- if and $v.aws.irsa.roleArn $v.aws.podIdentity.enabled }}
{{- $problems = append $problems "aws.irsa.roleArn and aws.podIdentity.enabled are both set, and the SDK would use IRSA: keep one" }}
{{- end }}
{{- if and $v.aws.irsa.roleArn (not $v.serviceAccount.create) }}
{{- $problems = append $problems "aws.irsa.roleArn is set, but serviceAccount.create is false, so the chart cannot annotate the ServiceAccount: annotate it with eks.amazonaws.com/role-arn yourself, and leave aws.irsa.roleArn empty" }}
{{- end }}

{{- /* Pods. */}}
{{- if lt (include "protobridge.gracePeriod" . | int64) (include "protobridge.leastGracePeriod" . | int64) }}
{{- $problems = append $problems (printf "terminationGracePeriodSeconds is %s, and config.shutdown.drain_timeout_seconds is %s: the kubelet would kill a pod that still drains or makes messages visible again; remove the key, set it to %s or more, or shorten the drain timeout" (include "protobridge.gracePeriod" .) (include "protobridge.drainTimeout" .) (include "protobridge.leastGracePeriod" .)) }}
{{- end }}
{{- $surge := toString $v.strategy.rollingUpdate.maxSurge }}
{{- if and (eq $v.strategy.type "RollingUpdate") (has $surge (list "0" "0%")) (has (toString $v.strategy.rollingUpdate.maxUnavailable) (list "0" "0%")) }}
{{- $problems = append $problems "strategy.rollingUpdate.maxSurge and maxUnavailable are both 0, so a rollout could replace no pod: set one of them to 1" }}
{{- end }}
{{- $budget := $v.podDisruptionBudget }}
{{- if and $budget.enabled (not (kindIs "invalid" $budget.minAvailable)) (not (kindIs "invalid" $budget.maxUnavailable)) }}
{{- $problems = append $problems (printf "podDisruptionBudget.minAvailable is %v and maxUnavailable is %v, but Kubernetes accepts only one of them: set the other to null" $budget.minAvailable $budget.maxUnavailable) }}
{{- end }}

{{- /* Scaling. */}}
{{- $hpa := $v.autoscaling.hpa }}
{{- $keda := $v.autoscaling.keda }}
{{- if and $hpa.enabled $keda.enabled }}
{{- $problems = append $problems "autoscaling.hpa.enabled and autoscaling.keda.enabled are both true, but KEDA creates its own HPA, and the two would fight: keep one" }}
{{- end }}
{{- if $hpa.enabled }}
{{- if gt (int64 $hpa.minReplicas) (int64 $hpa.maxReplicas) }}
{{- $problems = append $problems (printf "autoscaling.hpa.minReplicas is %d, but maxReplicas is %d: raise maxReplicas" (int64 $hpa.minReplicas) (int64 $hpa.maxReplicas)) }}
{{- end }}
{{- if and (not $hpa.targetCPUUtilizationPercentage) (not $hpa.metrics) }}
{{- $problems = append $problems "autoscaling.hpa.enabled is true, but the HPA has no metric: set targetCPUUtilizationPercentage or metrics" }}
{{- end }}
{{- if and $hpa.targetCPUUtilizationPercentage (not (dig "requests" "cpu" "" $v.resources)) }}
{{- $problems = append $problems "autoscaling.hpa.targetCPUUtilizationPercentage is a percentage of resources.requests.cpu, which is not set: set resources.requests.cpu, or set targetCPUUtilizationPercentage to null and use other metrics" }}
{{- end }}
{{- end }}
{{- if $keda.enabled }}
{{- if gt (int64 $keda.minReplicaCount) (int64 $keda.maxReplicaCount) }}
{{- $problems = append $problems (printf "autoscaling.keda.minReplicaCount is %d, but maxReplicaCount is %d: raise maxReplicaCount" (int64 $keda.minReplicaCount) (int64 $keda.maxReplicaCount)) }}
{{- end }}
{{- if gt (int64 $keda.fallback.replicas) (int64 $keda.maxReplicaCount) }}
{{- $problems = append $problems (printf "autoscaling.keda.fallback.replicas is %d, but maxReplicaCount is %d: lower fallback.replicas or raise maxReplicaCount" (int64 $keda.fallback.replicas) (int64 $keda.maxReplicaCount)) }}
{{- end }}
{{- range $index, $queue := $v.config.queues }}
{{- if not (include "protobridge.region" (list $root $queue.url)) }}
{{- $problems = append $problems (printf "config.aws.region is not set, and config.queues[%d].url %q does not contain the region, which KEDA requires: set config.aws.region" $index $queue.url) }}
{{- end }}
{{- end }}
{{- range $v.extraEnv }}
{{- if regexMatch "^PROTOBRIDGE_QUEUES_[0-9]+_URL(_FILE)?$" .name }}
{{- $problems = append $problems (printf "extraEnv has %s, but KEDA's triggers use config.queues only: set the URL there" .name) }}
{{- end }}
{{- end }}
{{- $auth := $keda.authentication }}
{{- if and (not $auth.existing) $auth.roleArn (eq $auth.identityOwner "workload") }}
{{- $problems = append $problems "autoscaling.keda.authentication has both roleArn and identityOwner: workload, but KEDA accepts only one of them: remove one" }}
{{- end }}
{{- if and (not $auth.existing) (not $auth.roleArn) (eq $auth.identityOwner "workload") (not $v.aws.irsa.roleArn) $v.serviceAccount.create (not (hasKey $v.serviceAccount.annotations "eks.amazonaws.com/role-arn")) }}
{{- $problems = append $problems "autoscaling.keda.authentication.identityOwner is workload, but the chart's ServiceAccount has no role annotation for KEDA to read: set aws.irsa.roleArn, or set identityOwner to keda and allow KEDA's operator sqs:GetQueueAttributes" }}
{{- end }}
{{- end }}

{{- /* The canary. */}}
{{- if $v.canary.enabled }}
{{- range $key := list "topic" "return_queue_url" }}
{{- if not (or (dig "canary" $key "" $v.config) (include "protobridge.hasVariable" (list $root (printf "PROTOBRIDGE_CANARY_%s" (upper $key))))) }}
{{- $problems = append $problems (printf "canary.enabled is true, but config.canary.%s is not set, so the prober would not start: set it (docs/operations.md, \"The canary\"), or set canary.enabled to false" $key) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Network and monitoring. */}}
{{- if and $v.networkPolicy.enabled (not (include "protobridge.redisPort" .)) (include "protobridge.hasVariable" (list . "PROTOBRIDGE_DEDUPE_REDIS_URL")) }}
{{- $problems = append $problems "networkPolicy.enabled is true, and the URL of Redis comes from a variable, so the policy would block Redis: set networkPolicy.redisPort" }}
{{- end }}
{{- if and $v.networkPolicy.enabled (not $v.networkPolicy.extraEgress) }}
{{- /* A variable overrides the configuration, and the chart cannot read the port from a Secret. */}}
{{- range $variable, $what := dict "PROTOBRIDGE_AWS_ENDPOINT_URL" "AWS" "PROTOBRIDGE_CONFLUENT_REGISTRY_URL" "the schema registry" "PROTOBRIDGE_TRACES_OTLP_ENDPOINT" "the trace collector" "HTTPS_PROXY" "the proxy" "https_proxy" "the proxy" "HTTP_PROXY" "the proxy" "http_proxy" "the proxy" }}
{{- if include "protobridge.hasVariable" (list $root $variable) }}
{{- $problems = append $problems (printf "networkPolicy.enabled is true, and extraEnv has %s, so the policy would block %s: allow its port with networkPolicy.extraEgress, such as [{ports: [{protocol: TCP, port: 8443}]}]" $variable $what) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and $v.serviceMonitor.enabled $v.podMonitor.enabled }}
{{- $problems = append $problems "serviceMonitor.enabled and podMonitor.enabled are both true, so Prometheus would scrape and count each pod twice: keep one" }}
{{- end }}
{{- if $v.prometheusRule.enabled }}
{{- $alerts := list }}
{{- range (.Files.Get "files/rules.yaml" | fromYaml).groups }}{{ range .rules }}{{ if .alert }}{{ $alerts = append $alerts .alert }}{{ end }}{{ end }}{{ end }}
{{- range $v.prometheusRule.disabled }}
{{- if not (has . $alerts) }}
{{- $problems = append $problems (printf "prometheusRule.disabled has %q, but no alert has this name: use one of %s" . ($alerts | uniq | sortAlpha | join ", ")) }}
{{- end }}
{{- end }}
{{- end }}

{{- if $problems }}
{{- fail (printf "\n\n%d problem(s) in the values:\n  - %s\n" (len $problems) (join "\n  - " $problems)) }}
{{- end }}
{{- end }}
