{{/* Problems of `extraEnv`, as a YAML list: a variable has one place, and some are the chart's own. */}}
{{- define "switchyard.problems.extraEnv" -}}
{{- $names := keys .Values.env -}}
{{- if has "PORT" $names }}
- "env.PORT is set by the chart itself; remove it and use service.containerPort"
{{- end }}
{{- range $index, $entry := .Values.extraEnv -}}
{{- $at := printf "extraEnv[%d].name is %q" $index $entry.name -}}
{{- if regexMatch "^(DATABASE_.*|(SECRET_KEY|API_TOKEN)(_FALLBACKS)?(_FILE)?|ALLOWED_HOSTS|METRICS_DIR|CONSOLE_PEERS|PORT|WEB_CONCURRENCY|WEB_THREADS)$" $entry.name }}
- {{ printf "%s, which the chart sets itself; remove it and use databases, allowedHosts, service.existingSecret, service.containerPort, workers or threads" $at | toJson }}
{{- else if has $entry.name $names }}
- {{ printf "%s, which env or extraEnv names too; remove it from one of them" $at | toJson }}
{{- end }}
{{- $names = append $names $entry.name -}}
{{- end }}
{{- end -}}
