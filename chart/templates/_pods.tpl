{{/* What values say about pods. An empty value leaves its field out. */}}

{{/*
With an autoscaler, the number of pods that there are. Without the field, an upgrade that turns the autoscaler on would go down to
one pod: Helm takes the number of `replicaCount` away, and Kubernetes sets 1.
*/}}
{{- define "switchyard.replicas" -}}
{{- if not .Values.autoscaling.enabled -}}
replicas: {{ int64 .Values.replicaCount }}
{{- else -}}
{{- with lookup "apps/v1" "Deployment" .Release.Namespace (include "switchyard.fullname" .) -}}
replicas: {{ int64 .spec.replicas }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Something if there may be several pods whose exporters can answer each other, so that each console adds up all pods. */}}
{{- define "switchyard.severalPods" -}}
{{- if and .Values.metrics.enabled (or .Values.autoscaling.enabled (gt (int64 .Values.replicaCount) 1)) -}}
true
{{- end -}}
{{- end -}}

{{/* Something if the worker has an exporter, which tells the consoles of its references. */}}
{{- define "switchyard.workerReports" -}}
{{- if and .Values.metrics.enabled .Values.crossdbWorker.enabled -}}
true
{{- end -}}
{{- end -}}

{{/*
The request of a probe. A Host header that ALLOWED_HOSTS has, because the kubelet sends the address of the pod.
Argument: list of its path, the name of its port.
*/}}
{{- define "switchyard.probe" -}}
path: {{ index . 0 | quote }}
port: {{ index . 1 }}
httpHeaders: [{name: Host, value: localhost}]
{{- end -}}

{{/* Where every pod of the release may run, and how its images are pulled. */}}
{{- define "switchyard.scheduling" -}}
{{- range $field := list "imagePullSecrets" "nodeSelector" "tolerations" "priorityClassName" }}
{{- with get $.Values $field }}
{{ $field }}: {{ toJson . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The affinity of a pod that prefers a node without another pod of its component. Arguments: those of switchyard.selectorLabels. */}}
{{- define "switchyard.apart" -}}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels: {{- include "switchyard.selectorLabels" . | nindent 12 }}
{{- end -}}

{{/* How the pods of the service are spread. A constraint without a selector is about these pods. */}}
{{- define "switchyard.spread" -}}
{{- $component := dict "root" . "component" "service" -}}
{{- $selector := dict "matchLabels" (include "switchyard.selectorLabels" $component | fromYaml) -}}
affinity: {{- empty .Values.affinity | ternary (include "switchyard.apart" $component) (toYaml .Values.affinity) | nindent 2 }}
{{- if .Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range .Values.topologySpreadConstraints }}
  - {{ hasKey . "labelSelector" | ternary . (merge (dict "labelSelector" $selector) .) | toJson }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The spec of a PodDisruptionBudget. Arguments: component, with the arguments of switchyard.selectorLabels, and maxUnavailable. */}}
{{- define "switchyard.disruptionBudget" -}}
maxUnavailable: {{ .maxUnavailable }}
# A pod that still waits for a database must not hold up the drain of its node.
unhealthyPodEvictionPolicy: AlwaysAllow
selector:
  matchLabels: {{- include "switchyard.selectorLabels" .component | nindent 4 }}
{{- end -}}

{{/* Labels and annotations of values, for pods that run the service's image. */}}
{{- define "switchyard.podLabels" -}}
{{- range $name, $value := .Values.podLabels }}
{{ $name }}: {{ quote $value }}
{{- end }}
{{- end -}}

{{- define "switchyard.podAnnotations" -}}
{{- range $name, $value := .Values.podAnnotations }}
{{ $name }}: {{ quote $value }}
{{- end }}
{{- end -}}

{{- define "switchyard.extraVolumeMounts" -}}
{{- range .Values.extraVolumeMounts }}
- {{ toJson . }}
{{- end }}
{{- end -}}

{{- define "switchyard.extraVolumes" -}}
{{- range .Values.extraVolumes }}
- {{ toJson . }}
{{- end }}
{{- end -}}

{{/* An object of values: a map, or the text of one, both as templates. Argument: list of root, object. */}}
{{- define "switchyard.extraObject" -}}
{{- $object := index . 1 -}}
{{- tpl (kindIs "string" $object | ternary $object (toYaml $object)) (index . 0) -}}
{{- end -}}
