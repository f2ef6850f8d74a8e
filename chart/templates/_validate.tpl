{{/* Check how aliases fit together, which a schema cannot. Report all problems at once, each with its remedy. */}}
{{- define "switchyard.validate" -}}
{{- $enabled := include "switchyard.enabled" . | fromYaml -}}
{{- $problems := list -}}
{{- if not (hasKey $enabled "default") -}}
{{- $problems = append $problems "databases.default is missing: it holds accounts and Django's own tables; set databases.default.engine" -}}
{{- end -}}
{{- range $name, $_ := .Values.env -}}
{{- if regexMatch "^(DATABASE_.*|(SECRET_KEY|API_TOKEN)(_FALLBACKS)?(_FILE)?|ALLOWED_HOSTS|METRICS_DIR|WEB_CONCURRENCY|WEB_THREADS)$" $name -}}
{{- $problems = append $problems (printf "env.%s is set by the chart itself; remove it and use databases, allowedHosts, rotation, workers or threads" $name) -}}
{{- end -}}
{{- end -}}
{{- $ownerOf := dict -}}
{{- range $alias, $values := $enabled -}}
{{- $at := printf "databases.%s" $alias -}}
{{- with $values.replicaOf -}}
{{- $owner := get $enabled . -}}
{{- if not $owner -}}
{{- $problems = append $problems (printf "%s.replicaOf names %q, which is not an enabled alias; set it to one of: %s" $at . (without (keys $enabled) $alias | sortAlpha | join ", ")) -}}
{{- else if $owner.replicaOf -}}
{{- $problems = append $problems (printf "%s.replicaOf names %q, which is a replica itself; set it to %q" $at . $owner.replicaOf) -}}
{{- else if ne (toString $owner.engine) "postgresql" -}}
{{- $problems = append $problems (printf "%s.replicaOf names %q, which runs on %s; a bundled replica must be a PostgreSQL standby; remove %s" $at . (toString $owner.engine) $at) -}}
{{- end -}}
{{- range $key := list "engine" "apps" "required" -}}
{{- if hasKey $values $key -}}
{{- $problems = append $problems (printf "%s.%s is set on a replica; set it on databases.%s, its owner" $at $key $values.replicaOf) -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- if not $values.engine -}}
{{- $problems = append $problems (printf "%s has no engine; set %s.engine to postgresql or mysql, or %s.replicaOf to an owner" $at $at $at) -}}
{{- end -}}
{{- range $key := list "maxLagSeconds" "applyDelay" -}}
{{- if hasKey $values $key -}}
{{- $problems = append $problems (printf "%s.%s is set on an owner; remove it: only an alias with replicaOf can lag" $at $key) -}}
{{- end -}}
{{- end -}}
{{- range $app := $values.apps -}}
{{- if hasKey $ownerOf $app -}}
{{- $problems = append $problems (printf "%s.apps names %q, which databases.%s.apps names too; remove it from one of them" $at $app (get $ownerOf $app)) -}}
{{- end -}}
{{- $_ := set $ownerOf $app $alias -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "\n%d problem(s) in the values:\n  - %s" (len $problems) (join "\n  - " $problems)) -}}
{{- end -}}
{{- end -}}
