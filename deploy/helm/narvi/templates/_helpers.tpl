{{/* Names and labels. Templates in values files of Loki's charts call them by the names that begin with "loki.". */}}

{{- define "narvi.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "narvi.fullname" -}}
{{- $name := include "narvi.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* The name of a component's objects: (dict "root" $ "name" "querier"); the only process has the release's own. */}}
{{- define "narvi.componentName" -}}
{{- $full := include "narvi.fullname" .root }}
{{- if .name }}{{ printf "%s-%s" $full .name | trunc 63 | trimSuffix "-" }}{{ else }}{{ $full }}{{ end }}
{{- end }}

{{- define "narvi.selectorLabels" -}}
app.kubernetes.io/name: {{ include "narvi.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "narvi.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "narvi.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "narvi.componentSelectorLabels" -}}
{{ include "narvi.selectorLabels" .root }}
app.kubernetes.io/component: {{ .name | default "single-binary" }}
{{- end }}

{{- define "narvi.componentLabels" -}}
{{ include "narvi.labels" .root }}
app.kubernetes.io/component: {{ .name | default "single-binary" }}
{{- end }}

{{- define "narvi.serviceAccountName" -}}
{{- default (include "narvi.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{/* The host name of a service with the cluster's domain: (dict "root" $ "name" "querier"). */}}
{{- define "narvi.host" -}}
{{ include "narvi.componentName" . }}.{{ .root.Release.Namespace }}.svc.{{ .root.Values.global.clusterDomain }}
{{- end }}

{{/* An image: registry/repository:tag, or @digest. */}}
{{- define "narvi.imageOf" -}}
{{- with .registry }}{{ . }}/{{ end }}{{ .repository }}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}
{{- end }}

{{- define "narvi.image" -}}
{{- include "narvi.imageOf" (merge (dict "tag" (.Values.image.tag | default .Chart.AppVersion)) .Values.image) }}
{{- end }}

{{/* A value that may be written as text with templates in it, or as it is. */}}
{{- define "narvi.text" -}}
{{- if kindIs "string" .value }}{{ tpl .value .root }}{{ else }}{{ toYaml .value }}{{ end }}
{{- end }}

{{/* The values of the chart, for the notes: others have no effect. */}}
{{- define "narvi.knownValues" -}}
[global, deploymentMode, nameOverride, fullnameOverride, image, imagePullSecrets, serviceAccount, loki, defaults,
 singleBinary, write, read, backend, distributor, ingester, querier, queryFrontend, queryScheduler, indexGateway, compactor,
 ruler, gateway, minio, memcached, memcachedChunks, memcachedFrontend, memcachedIndexQueries, serviceMonitor,
 prometheusRule, dashboards]
{{- end }}

{{- define "loki.name" -}}{{ include "narvi.name" . }}{{- end }}
{{- define "loki.fullname" -}}{{ include "narvi.fullname" . }}{{- end }}
{{- define "loki.labels" -}}{{ include "narvi.labels" . }}{{- end }}
{{- define "loki.selectorLabels" -}}{{ include "narvi.selectorLabels" . }}{{- end }}
{{- define "loki.serviceAccountName" -}}{{ include "narvi.serviceAccountName" . }}{{- end }}
{{- define "loki.memberlist" -}}{{ include "narvi.fullname" . }}-memberlist{{- end }}
{{- define "loki.writeFullname" -}}{{ include "narvi.componentName" (dict "root" . "name" "write") }}{{- end }}
{{- define "loki.writeSelectorLabels" -}}{{ include "narvi.componentSelectorLabels" (dict "root" . "name" "write") }}{{- end }}
{{- define "loki.writeLabels" -}}{{ include "narvi.componentLabels" (dict "root" . "name" "write") }}{{- end }}
{{- define "loki.readFullname" -}}{{ include "narvi.componentName" (dict "root" . "name" "read") }}{{- end }}
{{- define "loki.readSelectorLabels" -}}{{ include "narvi.componentSelectorLabels" (dict "root" . "name" "read") }}{{- end }}
{{- define "loki.readLabels" -}}{{ include "narvi.componentLabels" (dict "root" . "name" "read") }}{{- end }}
{{- define "loki.backendFullname" -}}{{ include "narvi.componentName" (dict "root" . "name" "backend") }}{{- end }}
{{- define "loki.backendSelectorLabels" -}}{{ include "narvi.componentSelectorLabels" (dict "root" . "name" "backend") }}{{- end }}
{{- define "loki.backendLabels" -}}{{ include "narvi.componentLabels" (dict "root" . "name" "backend") }}{{- end }}
{{- define "loki.distributorFullname" -}}{{ include "narvi.componentName" (dict "root" . "name" "distributor") }}{{- end }}
{{- define "loki.distributorSelectorLabels" -}}{{ include "narvi.componentSelectorLabels" (dict "root" . "name" "distributor") }}{{- end }}
{{- define "loki.distributorLabels" -}}{{ include "narvi.componentLabels" (dict "root" . "name" "distributor") }}{{- end }}
{{- define "loki.ingesterFullname" -}}{{ include "narvi.componentName" (dict "root" . "name" "ingester") }}{{- end }}
{{- define "loki.ingesterSelectorLabels" -}}{{ include "narvi.componentSelectorLabels" (dict "root" . "name" "ingester") }}{{- end }}
{{- define "loki.ingesterLabels" -}}{{ include "narvi.componentLabels" (dict "root" . "name" "ingester") }}{{- end }}
{{- define "loki.querierFullname" -}}{{ include "narvi.componentName" (dict "root" . "name" "querier") }}{{- end }}
{{- define "loki.querierSelectorLabels" -}}{{ include "narvi.componentSelectorLabels" (dict "root" . "name" "querier") }}{{- end }}
{{- define "loki.querierLabels" -}}{{ include "narvi.componentLabels" (dict "root" . "name" "querier") }}{{- end }}
{{- define "loki.queryFrontendFullname" -}}{{ include "narvi.componentName" (dict "root" . "name" "query-frontend") }}{{- end }}
{{- define "loki.queryFrontendSelectorLabels" -}}{{ include "narvi.componentSelectorLabels" (dict "root" . "name" "query-frontend") }}{{- end }}
{{- define "loki.queryFrontendLabels" -}}{{ include "narvi.componentLabels" (dict "root" . "name" "query-frontend") }}{{- end }}
{{- define "loki.querySchedulerFullname" -}}{{ include "narvi.componentName" (dict "root" . "name" "query-scheduler") }}{{- end }}
{{- define "loki.querySchedulerSelectorLabels" -}}{{ include "narvi.componentSelectorLabels" (dict "root" . "name" "query-scheduler") }}{{- end }}
{{- define "loki.querySchedulerLabels" -}}{{ include "narvi.componentLabels" (dict "root" . "name" "query-scheduler") }}{{- end }}
{{- define "loki.indexGatewayFullname" -}}{{ include "narvi.componentName" (dict "root" . "name" "index-gateway") }}{{- end }}
{{- define "loki.indexGatewaySelectorLabels" -}}{{ include "narvi.componentSelectorLabels" (dict "root" . "name" "index-gateway") }}{{- end }}
{{- define "loki.indexGatewayLabels" -}}{{ include "narvi.componentLabels" (dict "root" . "name" "index-gateway") }}{{- end }}
{{- define "loki.compactorFullname" -}}{{ include "narvi.componentName" (dict "root" . "name" "compactor") }}{{- end }}
{{- define "loki.compactorSelectorLabels" -}}{{ include "narvi.componentSelectorLabels" (dict "root" . "name" "compactor") }}{{- end }}
{{- define "loki.compactorLabels" -}}{{ include "narvi.componentLabels" (dict "root" . "name" "compactor") }}{{- end }}
{{- define "loki.rulerFullname" -}}{{ include "narvi.componentName" (dict "root" . "name" "ruler") }}{{- end }}
{{- define "loki.rulerSelectorLabels" -}}{{ include "narvi.componentSelectorLabels" (dict "root" . "name" "ruler") }}{{- end }}
{{- define "loki.rulerLabels" -}}{{ include "narvi.componentLabels" (dict "root" . "name" "ruler") }}{{- end }}
{{- define "loki.gatewayFullname" -}}{{ include "narvi.componentName" (dict "root" . "name" "gateway") }}{{- end }}
{{- define "loki.gatewaySelectorLabels" -}}{{ include "narvi.componentSelectorLabels" (dict "root" . "name" "gateway") }}{{- end }}
{{- define "loki.gatewayLabels" -}}{{ include "narvi.componentLabels" (dict "root" . "name" "gateway") }}{{- end }}
