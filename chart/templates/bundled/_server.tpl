{{/* Common parts of the bundled servers of all engines. */}}

{{- define "switchyard.serverMetadata" -}}
name: {{ .db.bundled.name }}
labels: {{- include "switchyard.labels" (dict "root" .root "component" "database" "alias" .alias) | nindent 2 }}
{{- end -}}

{{/*
A server reads its scripts and its Secrets only when it starts, so a changed checksum restarts it.
Arguments: root, alias, scripts, secrets.
*/}}
{{- define "switchyard.serverPodMetadata" -}}
{{- $text := "" -}}
{{- range .scripts }}{{ $text = cat $text ($.root.Files.Get (printf "files/%s" .)) }}{{ end -}}
labels: {{- include "switchyard.selectorLabels" (dict "root" .root "component" "database" "alias" .alias) | nindent 2 }}
annotations:
  checksum/scripts: {{ sha256sum $text }}
  checksum/secrets: {{ include "switchyard.secretsChecksum" (list .root .secrets) }}
{{- end -}}

{{/* Arguments: root, scripts. */}}
{{- define "switchyard.scriptsVolume" -}}
configMap:
  name: {{ include "switchyard.fullname" .root }}-scripts
  defaultMode: 0555
  items:
    {{- range .scripts }}
    - {key: {{ . }}, path: {{ . }}}
    {{- end }}
{{- end -}}

{{/* A variable with the value of one key of a Secret. Argument: list of variable, Secret, key. */}}
{{- define "switchyard.secretEnv" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef: {name: {{ index . 1 }}, key: {{ index . 2 }}}
{{- end -}}

{{- define "switchyard.dataClaim" -}}
metadata:
  name: data
spec:
  accessModes: [ReadWriteOnce]
  {{- with .className }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests: {storage: {{ .size }}}
{{- end -}}
