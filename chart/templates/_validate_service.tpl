{{/* Problems of the values about the service's objects. */}}

{{- define "switchyard.problems.service" -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
- "ingress.enabled is true, and ingress.hosts is empty; set ingress.hosts"
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
- "httpRoute.enabled is true, and no Gateway is named; set httpRoute.parentRefs"
{{- end }}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled }}
- "metrics.serviceMonitor.enabled and metrics.podMonitor.enabled would count each query twice; set one of them to false"
{{- end }}
{{- $reads := list -}}
{{- range $name := list "serviceMonitor" "podMonitor" "prometheusRule" "dashboard" -}}
{{- if (get $.Values.metrics $name).enabled -}}
{{- $reads = printf "metrics.%s.enabled" $name | append $reads -}}
{{- end -}}
{{- end -}}
{{- if and $reads (not .Values.metrics.enabled) }}
- {{ printf "metrics.enabled is false, so there is nothing to scrape; set %s to false, or metrics.enabled to true" (join " and " $reads) | toJson }}
{{- end }}
{{- $enabled := include "switchyard.enabled" . | fromYaml -}}
{{- range $alias := .Values.metrics.prometheusRule.retiring -}}
{{- if not (hasKey $enabled $alias) }}
- {{ printf "metrics.prometheusRule.retiring names %q, which is not an enabled alias; remove it, or set it to one of: %s" $alias (keys $enabled | sortAlpha | join ", ") | toJson }}
{{- end }}
{{- end }}
{{- with .Values.autoscaling }}
{{- if and .enabled (gt (int64 .minReplicas) (int64 .maxReplicas)) }}
- {{ printf "autoscaling.minReplicas is %d, and autoscaling.maxReplicas is %d; set minReplicas to no more than maxReplicas" (int64 .minReplicas) (int64 .maxReplicas) | toJson }}
{{- end }}
{{- if and .enabled (not .targetCPUUtilizationPercentage) (not .targetMemoryUtilizationPercentage) }}
- "autoscaling has no target; set autoscaling.targetCPUUtilizationPercentage or autoscaling.targetMemoryUtilizationPercentage"
{{- end }}
{{- end }}
{{- end -}}

{{/* Labels of values must not replace those by which the chart selects its objects. */}}
{{- define "switchyard.problems.labels" -}}
{{- range $at, $labels := dict "podLabels" .Values.podLabels "serviceAccount.labels" .Values.serviceAccount.labels "metrics.serviceMonitor.labels" .Values.metrics.serviceMonitor.labels "metrics.podMonitor.labels" .Values.metrics.podMonitor.labels "metrics.prometheusRule.labels" .Values.metrics.prometheusRule.labels "metrics.dashboard.labels" .Values.metrics.dashboard.labels -}}
{{- range $label, $_ := $labels -}}
{{- if regexMatch "^(app[.]kubernetes[.]io/(name|instance|component|version|managed-by)|helm[.]sh/chart|switchyard/.*)$" $label }}
- {{ printf "%s has %q, a label of the chart itself; remove it" $at $label | toJson }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Each mount of values needs a volume of values, and the chart's own volumes keep their names and places. */}}
{{- define "switchyard.problems.volumes" -}}
{{- $names := list -}}
{{- range .Values.extraVolumes -}}
{{- if has .name (concat (list "secrets" "tmp" "metrics") $names) }}
- {{ printf "extraVolumes names %q, which is the name of another volume; set another name" .name | toJson }}
{{- end }}
{{- $names = append $names .name -}}
{{- end -}}
{{- range .Values.extraVolumeMounts -}}
{{- if not (has .name $names) }}
- {{ printf "extraVolumeMounts names %q, which is not a volume of extraVolumes; add it there" .name | toJson }}
{{- end }}
{{- if has (trimSuffix "/" .mountPath) (list "/tmp" "/run/metrics" "/run/secrets/switchyard") }}
- {{ printf "extraVolumeMounts mounts %q at %s, where the chart mounts a volume; set another mountPath" .name .mountPath | toJson }}
{{- end }}
{{- end }}
{{- end -}}
