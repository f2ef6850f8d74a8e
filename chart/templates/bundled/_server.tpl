{{/* What bundled servers of every engine share. */}}

{{- define "switchyard.serverMetadata" -}}
name: {{ .db.bundled.name }}
labels: {{- include "switchyard.labels" (dict "root" .root "component" "database" "alias" .alias) | nindent 2 }}
{{- end -}}

{{/* A new script is mounted at once but read at a start: the checksum makes one. Arguments: root, alias, scripts. */}}
{{- define "switchyard.serverPodMetadata" -}}
{{- $text := "" -}}
{{- range .scripts }}{{ $text = cat $text ($.root.Files.Get (printf "files/%s" .)) }}{{ end -}}
labels: {{- include "switchyard.selectorLabels" (dict "root" .root "component" "database" "alias" .alias) | nindent 2 }}
annotations:
  checksum/scripts: {{ sha256sum $text }}
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

{{/* One variable from one key of a Secret. Argument: list of variable, Secret, key. */}}
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
