{{/* The volumes of the service and of the Jobs, and the containers that copy sets from S3. */}}

{{- define "protobridge.mounts" -}}
- name: "config"
  mountPath: {{ include "protobridge.path.config" . | quote }}
  readOnly: true
- name: "customers"
  mountPath: {{ include "protobridge.path.customers" . | quote }}
  readOnly: true
- name: "descriptors"
  mountPath: {{ include "protobridge.path.descriptors" . | quote }}
  readOnly: true
{{- if .Values.store.volume }}
- name: "store"
  mountPath: {{ include "protobridge.storeFolder" . | quote }}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{- define "protobridge.volumes" -}}
- name: "config"
  configMap:
    name: {{ printf "%s-config" (include "protobridge.fullname" .) | quote }}
- name: "customers"
  {{- include "protobridge.customersVolume" . | nindent 2 }}
- name: "descriptors"
  {{- include "protobridge.descriptorsVolume" . | nindent 2 }}
{{- if eq (include "protobridge.descriptorSources" .) "s3" }}
- name: "tmp"
  emptyDir:
    sizeLimit: "16Mi"
{{- end }}
{{- with .Values.store.volume }}
- name: "store"
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.extraVolumes }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{- define "protobridge.customersVolume" -}}
{{- $c := .Values.customers }}
{{- if $c.persistentVolumeClaim.claimName -}}
persistentVolumeClaim:
  claimName: {{ $c.persistentVolumeClaim.claimName | quote }}
  readOnly: true
{{- else if $c.existingConfigMap.name -}}
configMap:
  name: {{ $c.existingConfigMap.name | quote }}
  items:
    - key: {{ $c.existingConfigMap.key | quote }}
      path: "customers.yaml"
{{- else -}}
configMap:
  name: {{ printf "%s-customers" (include "protobridge.fullname" .) | quote }}
{{- end }}
{{- end }}

{{- define "protobridge.descriptorsVolume" -}}
{{- $d := .Values.descriptors }}
{{- if $d.s3.uri -}}
emptyDir:
  sizeLimit: {{ $d.s3.sizeLimit | quote }}
{{- else if $d.image.reference -}}
image:
  reference: {{ $d.image.reference | quote }}
  pullPolicy: {{ $d.image.pullPolicy | quote }}
{{- else if $d.persistentVolumeClaim.claimName -}}
persistentVolumeClaim:
  claimName: {{ $d.persistentVolumeClaim.claimName | quote }}
  readOnly: true
{{- else if $d.existingConfigMap -}}
configMap:
  name: {{ $d.existingConfigMap | quote }}
{{- else -}}
configMap:
  name: {{ printf "%s-descriptors" (include "protobridge.fullname" .) | quote }}
{{- end }}
{{- end }}

{{/*
An init container copies the sets before the service starts, and a sidecar copies them periodically. The service never sees
a half-written set, because the CLI writes each file under another name and renames it.
*/}}
{{- define "protobridge.s3Containers" -}}
{{- $s3 := .Values.descriptors.s3 -}}
{{ include "protobridge.fetchContainer" . }}
{{- if $s3.refreshSeconds }}
- name: "refresh-descriptors"
  {{- /* Makes this a sidecar: it starts before the service, and the service does not wait for it to end. */}}
  restartPolicy: "Always"
  {{- /* As process 1, a shell ignores SIGTERM unless it has a trap, and it does not run traps while a child runs in the
  foreground. If a copy fails, the current sets stay, and the next turn of the loop tries again. */}}
  command:
    - "/bin/sh"
    - "-c"
    - "trap 'exit 0' TERM; seconds=$1; shift; while :; do sleep \"$seconds\" & wait $!; aws \"$@\" & wait $! || echo 'copy failed; the current sets stay' >&2; done"
    - "refresh-descriptors"
    - {{ int64 $s3.refreshSeconds | quote }}
  args: {{ toJson (concat (list "s3" "sync" $s3.uri "/descriptors") $s3.args) }}
  {{- include "protobridge.s3Container" . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "protobridge.fetchContainer" -}}
{{- $s3 := .Values.descriptors.s3 -}}
- name: "fetch-descriptors"
  args: {{ toJson (concat (list "s3" "sync" $s3.uri "/descriptors") $s3.args) }}
  {{- include "protobridge.s3Container" . | nindent 2 }}
{{- end }}

{{- define "protobridge.s3Container" -}}
{{- $s3 := .Values.descriptors.s3 -}}
image: {{ include "protobridge.reference" (list $s3.image "latest") | quote }}
imagePullPolicy: {{ $s3.image.pullPolicy | quote }}
env:
  {{- /* The CLI writes its caches to HOME, and the root file system is read-only. */}}
  - name: "HOME"
    value: "/tmp"
  {{- with dig "aws" "region" "" .Values.config }}
  - name: "AWS_REGION"
    value: {{ . | quote }}
  {{- end }}
  {{- with $s3.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $s3.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.containerSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - name: "descriptors"
    mountPath: "/descriptors"
  - name: "tmp"
    mountPath: "/tmp"
{{- end }}
