{{/* Names and labels. */}}

{{/* At most 28 characters, so that `<fullname>-migrate-<alias>-<hash>` fits into 63 characters with its whole hash. */}}
{{- define "switchyard.fullname" -}}
{{- $name := contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) -}}
{{- if le (len $name) 28 -}}
{{- $name -}}
{{- else -}}
{{- printf "%s-%s" (trunc 19 $name | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- end -}}
{{- end -}}

{{/* Labels of everything in the release. */}}
{{- define "switchyard.releaseLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels that never change while the release exists. Argument: dict with root, component and optionally alias. */}}
{{- define "switchyard.selectorLabels" -}}
{{ include "switchyard.releaseLabels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- with .alias }}
switchyard/alias: {{ quote . }}
{{- end }}
{{- end -}}

{{/* The components whose pods load the settings of the service and run until they are stopped, as a YAML list. */}}
{{- define "switchyard.serviceComponents" -}}
- service
{{- if .Values.crossdbWorker.enabled }}
- crossdb-worker
{{- end }}
{{- end -}}

{{/* Labels of an object, never of a pod, so that a new chart version alone restarts nothing. */}}
{{- define "switchyard.labels" -}}
{{ include "switchyard.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "switchyard.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
