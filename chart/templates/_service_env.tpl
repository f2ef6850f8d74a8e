{{/* Variables of a process of the service or of the worker. Argument: that of switchyard.serviceContainer. */}}
{{- define "switchyard.serviceEnv" -}}
{{- include "switchyard.databaseEnv" (include "switchyard.databases" .root | fromYaml) | trim }}
- name: SECRET_KEY_FILE
  value: /run/secrets/switchyard/secret-key
- name: SECRET_KEY_FALLBACKS_FILE
  value: /run/secrets/switchyard/secret-key-fallbacks
- name: API_TOKEN_FILE
  value: /run/secrets/switchyard/api-token
- name: API_TOKEN_FALLBACKS_FILE
  value: /run/secrets/switchyard/api-token-fallbacks
- name: ALLOWED_HOSTS
  value: {{ include "switchyard.allowedHosts" .root }}
{{- if .root.Values.metrics.enabled }}
- name: METRICS_DIR
  value: /run/metrics
{{- end }}
{{- with include "switchyard.consolePeers" .root }}
- name: CONSOLE_PEERS
  value: {{ . }}
{{- end }}
- name: PORT
  value: {{ int64 .root.Values.service.containerPort | quote }}
- name: WEB_CONCURRENCY
  value: {{ int64 .root.Values.workers | quote }}
- name: WEB_THREADS
  value: {{ int64 .root.Values.threads | quote }}
{{- include "switchyard.extraEnv" .root }}
{{- end -}}

{{/*
The exporters that a console asks. The pods of the worker have no console, but get the variable as well: it lets their exporters accept
the token of the consoles.
*/}}
{{- define "switchyard.consolePeers" -}}
{{- $peers := list -}}
{{- if include "switchyard.severalPods" . -}}
{{- $peers = append $peers (printf "%s-pods:9464" (include "switchyard.fullname" .)) -}}
{{- end -}}
{{- if include "switchyard.workerReports" . -}}
{{- $peers = append $peers (printf "%s-crossdb-worker-metrics:9464" (include "switchyard.fullname" .)) -}}
{{- end -}}
{{- join "," $peers -}}
{{- end -}}

{{/*
Port-forwards and probes use localhost; pods use the Service's name in one of its forms; the Ingress and the HTTPRoute pass on
their own host names. Django writes *.example.org as .example.org.
*/}}
{{- define "switchyard.allowedHosts" -}}
{{- $name := include "switchyard.fullname" . -}}
{{- $hosts := list "localhost" "127.0.0.1" $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) (printf "%s.%s.svc.cluster.local" $name .Release.Namespace) -}}
{{- $hosts = concat $hosts .Values.allowedHosts (.Values.ingress.enabled | ternary .Values.ingress.hosts list) (.Values.httpRoute.enabled | ternary .Values.httpRoute.hostnames list) -}}
{{- range $index, $host := uniq $hosts -}}
{{- if $index }},{{ end }}{{ trimPrefix "*" $host -}}
{{- end -}}
{{- end -}}
