{{- define "sondage.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "sondage.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sondage.labels" -}}
{{ include "sondage.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: host-agent
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "sondage.account" -}}
{{ .Values.serviceAccount.name | default (include "sondage.name" .) }}
{{- end }}

{{- define "sondage.image" -}}
{{- $image := .Values.image -}}
{{ $image.repository }}{{ if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* The settings, with the metrics port among the targets where there is one. */}}
{{- define "sondage.settings" -}}
{{- $settings := deepCopy .Values.settings -}}
{{- if .Values.metrics.enabled -}}
{{- $push := $settings.push | default list -}}
{{- if kindIs "string" $push }}{{ $push = splitList "," $push }}{{ end -}}
{{- $pull := printf "pull+http://0.0.0.0:%d" (int .Values.metrics.port) -}}
{{- $settings = merge (dict "push" (append $push $pull) "pull_token_file" "/etc/sondage/metrics/token") $settings -}}
{{- end -}}
{{ toYaml $settings }}
{{- end }}
