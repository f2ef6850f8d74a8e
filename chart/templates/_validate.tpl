{{/*
Check how values fit together, which a schema cannot. Report all problems at once, each with the keys to set. Each rule below
returns a YAML list of problems.
*/}}
{{- define "switchyard.validate" -}}
{{- $problems := list -}}
{{- range $rule := list "release" "env" "extraEnv" "aliases" "addresses" "secrets" "gitops" "existing" "service" "labels" "volumes" -}}
{{- $problems = include (printf "switchyard.problems.%s" $rule) $ | fromYamlArray | concat $problems -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "\n%d problem(s) in the values:\n  - %s" (len $problems) (join "\n  - " $problems)) -}}
{{- end -}}
{{- end -}}

{{- define "switchyard.problems.release" -}}
{{- if not (regexMatch "^[a-z]([a-z0-9-]*[a-z0-9])?$" .Release.Name) }}
- {{ printf "the release %q cannot name a Service; choose a release name of a-z, 0-9 and -, which starts with a letter" .Release.Name | toJson }}
{{- end }}
{{- end -}}

{{- define "switchyard.problems.env" -}}
{{- range $name, $_ := .Values.env -}}
{{- if regexMatch "^(DATABASE_.*|(SECRET_KEY|API_TOKEN)(_FALLBACKS)?(_FILE)?|ALLOWED_HOSTS|METRICS_DIR|CONSOLE_PEERS|WEB_CONCURRENCY|WEB_THREADS)$" $name }}
- {{ printf "env.%s is set by the chart itself; remove it and use databases, allowedHosts, service.existingSecret, workers or threads" $name | toJson }}
{{- end }}
{{- end }}
{{- end -}}
