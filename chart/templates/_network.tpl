{{/* Parts of network policies. */}}

{{/* The pods of a component of the release. Arguments: those of switchyard.selectorLabels. */}}
{{- define "switchyard.podsOf" -}}
podSelector:
  matchLabels: {{- include "switchyard.selectorLabels" . | nindent 4 }}
{{- end -}}

{{/* A rule of egress to the servers of an alias. Argument: model of the alias. */}}
{{- define "switchyard.toDatabase" -}}
- ports:
    {{- range .network.ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
  {{- if .network.pods }}
  to:
    - podSelector:
        matchLabels: {{- toYaml .network.pods | nindent 10 }}
  {{- else if .network.cidrs }}
  to:
    {{- range .network.cidrs }}
    - ipBlock: {cidr: {{ quote . }}}
    {{- end }}
  {{- end }}
{{- end -}}

{{/* Every pod asks DNS: MySQL, too, which looks up the name of each client. */}}
{{- define "switchyard.toDns" -}}
- ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end -}}

{{/* The rules of egress of a pod that uses all databases: DNS, the databases, and what values name. */}}
{{- define "switchyard.serviceEgress" -}}
{{- include "switchyard.toDns" . }}
{{- range include "switchyard.databases" . | fromYaml }}
{{ include "switchyard.toDatabase" . }}
{{- end }}
{{- with .Values.networkPolicy.egress }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
A rule of ingress to a port. No peers: from anywhere. Argument: list of root, port, peers, and then the components of the release
that may come as well.
*/}}
{{- define "switchyard.fromPeers" -}}
- ports:
    - {protocol: TCP, port: {{ int64 (index . 1) }}}
  {{- with index . 2 }}
  from:
    {{- range . }}
    - {{ toJson . }}
    {{- end }}
    {{- range slice $ 3 }}
    - {{ include "switchyard.podsOf" (dict "root" (index $ 0) "component" .) | nindent 6 | trim }}
    {{- end }}
  {{- end }}
{{- end -}}
