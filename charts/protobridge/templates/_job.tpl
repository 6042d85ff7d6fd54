{{/*
The Jobs that send messages again: `replay` and `redrive`. Neither is a part of the service: each has a ServiceAccount of its
own, so that the service needs no permission to read the archive, and the Job none to receive from the queues.
*/}}

{{/* The name of a Job's ServiceAccount and NetworkPolicy. Takes a list: the root context and `replay` or `redrive`. */}}
{{- define "protobridge.jobName" -}}
{{- printf "%s-%s" (include "protobridge.fullname" (index . 0) | trunc 46 | trimSuffix "-") (index . 1) }}
{{- end }}

{{- define "protobridge.jobServiceAccountName" -}}
{{- $account := (index (index . 0).Values (index . 1)).serviceAccount }}
{{- if $account.create }}
{{- default (include "protobridge.jobName" .) $account.name }}
{{- else }}
{{- default "default" $account.name }}
{{- end }}
{{- end }}

{{/* Selects the pods of a Job, which no selector of the service or the prober matches. */}}
{{- define "protobridge.jobSelectorLabels" -}}
{{ include "protobridge.nameLabels" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 | quote }}
{{- end }}

{{/* Like protobridge.labels, for an object of a Job. */}}
{{- define "protobridge.jobLabels" -}}
{{- $labels := include "protobridge.labels" (list (index . 0) nil) | fromYaml }}
{{- toYaml (set $labels "app.kubernetes.io/component" (index . 1)) }}
{{- end }}

{{/* The arguments of `protobridge replay` as a list in JSON. A pod that replaces another one continues its replay. */}}
{{- define "protobridge.replayArguments" -}}
{{- $replay := .Values.replay }}
{{- $arguments := list "replay" "--config" (printf "%s/protobridge.yaml" (include "protobridge.path.config" .)) }}
{{- if $replay.dryRun }}
{{- $arguments = append $arguments "--dry-run" }}
{{- else }}
{{- $arguments = concat $arguments (list "--yes" "--name" $replay.name "--resume-if-begun") }}
{{- end }}
{{- $arguments = concat $arguments (list "--from" $replay.from "--to" $replay.to) }}
{{- with $replay.customer }}{{ $arguments = concat $arguments (list "--customer" .) }}{{ end }}
{{- range $replay.types }}{{ $arguments = concat $arguments (list "--type" .) }}{{ end }}
{{- range $replay.queues }}{{ $arguments = concat $arguments (list "--queue" .) }}{{ end }}
{{- if $replay.unconfirmed }}{{ $arguments = append $arguments "--unconfirmed" }}{{ end }}
{{- with $replay.rate }}{{ $arguments = concat $arguments (list "--rate" (toString .)) }}{{ end }}
{{- toJson (concat $arguments $replay.args) }}
{{- end }}

{{/* The arguments of `protobridge redrive` as a list in JSON. */}}
{{- define "protobridge.redriveArguments" -}}
{{- $redrive := .Values.redrive }}
{{- $arguments := list "redrive" "--config" (printf "%s/protobridge.yaml" (include "protobridge.path.config" .)) }}
{{- $arguments = concat $arguments (list "--queue" $redrive.queue) }}
{{- if $redrive.dryRun }}{{ $arguments = append $arguments "--dry-run" }}{{ end }}
{{- with $redrive.reason }}{{ $arguments = concat $arguments (list "--reason" .) }}{{ end }}
{{- with $redrive.type }}{{ $arguments = concat $arguments (list "--type" .) }}{{ end }}
{{- with $redrive.quarantinedBefore }}{{ $arguments = concat $arguments (list "--quarantined-before" .) }}{{ end }}
{{- with $redrive.customer }}{{ $arguments = concat $arguments (list "--customer" .) }}{{ end }}
{{- with $redrive.limit }}{{ $arguments = concat $arguments (list "--limit" (int64 . | toString)) }}{{ end }}
{{- with $redrive.rate }}{{ $arguments = concat $arguments (list "--rate" (int64 . | toString)) }}{{ end }}
{{- if $redrive.toSource }}{{ $arguments = append $arguments "--to-source" }}{{ end }}
{{- toJson (concat $arguments $redrive.args) }}
{{- end }}

{{/* The template of a Job's pod. Takes a list: the root context, `replay` or `redrive`, and the arguments. */}}
{{- define "protobridge.jobPod" -}}
{{- $root := index . 0 }}
{{- $kind := index . 1 }}
{{- $values := index $root.Values $kind }}
metadata:
  labels:
    {{- $version := include "protobridge.releaseLabels" $root | fromYaml }}
    {{- $fixed := include "protobridge.jobSelectorLabels" . | fromYaml }}
    {{- toYaml (merge $fixed $root.Values.podLabels $root.Values.commonLabels (pick $version "app.kubernetes.io/version")) | nindent 4 }}
  annotations:
    kubectl.kubernetes.io/default-container: {{ $kind | quote }}
    {{- with merge (dict) $root.Values.podAnnotations $root.Values.commonAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- /* The log of a failed pod stays. A new pod continues. */}}
  restartPolicy: "Never"
  serviceAccountName: {{ include "protobridge.jobServiceAccountName" . | quote }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "protobridge.gracePeriod" $root }}
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- $security := $root.Values.podSecurityContext }}
  {{- if $root.Values.store.volume }}
  {{- $group := dict "fsGroup" (default 65532 $security.runAsGroup | int64) "fsGroupChangePolicy" "OnRootMismatch" }}
  {{- $security = merge (dict) $security $group }}
  {{- end }}
  {{- with $security }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.extraInitContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ $kind | quote }}
      image: {{ include "protobridge.image" $root | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy | quote }}
      args: {{ index . 2 }}
      {{- with $root.Values.extraEnv }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $root.Values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $root.Values.containerSecurityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        {{- include "protobridge.mounts" $root | nindent 8 }}
  volumes:
    {{- include "protobridge.volumes" $root | nindent 4 }}
  {{- with $root.Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* A Job, its ServiceAccount and its NetworkPolicy. Takes a list: the root context, `replay` or `redrive`, and the arguments. */}}
{{- define "protobridge.job" -}}
{{- $root := index . 0 }}
{{- $kind := index . 1 }}
{{- $values := index $root.Values $kind }}
{{- $name := include "protobridge.jobName" . }}
{{- $labels := include "protobridge.jobLabels" . }}
{{- $pod := include "protobridge.jobPod" . }}
apiVersion: batch/v1
kind: Job
metadata:
  {{- /* A Job cannot be changed. A changed pod therefore is a Job of another name, which replaces this one. */}}
  name: {{ printf "%s-%s" $name (sha256sum $pod | trunc 8) | quote }}
  namespace: {{ $root.Release.Namespace | quote }}
  labels:
    {{- $labels | nindent 4 }}
  {{- with include "protobridge.annotations" (list $root nil) }}
  {{- . | nindent 2 }}
  {{- end }}
spec:
  backoffLimit: {{ int64 $values.backoffLimit }}
  {{- if not (kindIs "invalid" $values.ttlSecondsAfterFinished) }}
  ttlSecondsAfterFinished: {{ int64 $values.ttlSecondsAfterFinished }}
  {{- end }}
  {{- /* The next pod starts only after the one before has ended. */}}
  podReplacementPolicy: "Failed"
  podFailurePolicy:
    rules:
      {{- /* Another attempt would fail alike: the arguments (2) or the configuration (64) are wrong. */}}
      - action: "FailJob"
        onExitCodes:
          containerName: {{ $kind | quote }}
          operator: "In"
          values: [2, 64]
      {{- /* An evicted pod is no failure. */}}
      - action: "Ignore"
        onPodConditions:
          - type: "DisruptionTarget"
            status: "True"
  template:
    {{- $pod | nindent 4 }}
{{- if $values.serviceAccount.create }}
---
{{- $role := dict }}
{{- with $values.irsa.roleArn }}
{{- $role = dict "eks.amazonaws.com/role-arn" . }}
{{- end }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "protobridge.jobServiceAccountName" . | quote }}
  namespace: {{ $root.Release.Namespace | quote }}
  labels:
    {{- $labels | nindent 4 }}
  {{- with include "protobridge.annotations" (list $root (merge $role $values.serviceAccount.annotations)) }}
  {{- . | nindent 2 }}
  {{- end }}
automountServiceAccountToken: false
{{- end }}
{{- if $root.Values.networkPolicy.enabled }}
---
{{ include "protobridge.networkPolicy" (list $root $name $labels (include "protobridge.jobSelectorLabels" .) "without ingress") }}
{{- end }}
{{- end }}
