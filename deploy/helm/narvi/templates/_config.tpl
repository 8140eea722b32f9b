{{/* Narvi's configuration file: what the chart makes of its values, or loki.config, with loki.structuredConfig over it. */}}

{{/* What the chart makes of its values, as YAML. */}}
{{- define "narvi.baseConfig" -}}
{{- $root := . }}
{{- $mode := include "narvi.mode" . }}
{{- $full := include "narvi.fullname" . }}
auth_enabled: {{ .Values.loki.authEnabled }}
server:
  http_listen_port: 3100
  grpc_listen_port: 9095
common:
  path_prefix: /var/loki
  replication_factor: {{ include "narvi.replicationFactor" . }}
  {{- if ne $mode "SingleBinary" }}
  persist_tokens: true
  {{- end }}
  {{- if eq $mode "SimpleScalable" }}
  compactor_address: http://{{ $full }}-backend:3100
  {{- else if and (eq $mode "Distributed") .Values.compactor.enabled }}
  compactor_address: http://{{ $full }}-compactor:3100
  {{- end }}
  {{- include "narvi.commonStorage" . | nindent 2 }}
{{- if or (ne $mode "SingleBinary") (gt (int (.Values.singleBinary.replicas | default 1)) 1) }}
memberlist:
  join_members: ["{{ $full }}-memberlist"]
{{- end }}
{{- if eq $mode "SimpleScalable" }}
frontend:
  scheduler_address: {{ $full }}-backend-headless:9095
  tail_proxy_url: http://{{ $full }}-read:3100
frontend_worker:
  scheduler_address: {{ $full }}-backend-headless:9095
{{- else if eq $mode "Distributed" }}
{{- $scheduled := .Values.queryScheduler.enabled }}
frontend:
  tail_proxy_url: http://{{ $full }}-querier:3100
  {{- if $scheduled }}
  scheduler_address: {{ $full }}-query-scheduler-headless:9095
  {{- end }}
frontend_worker:
  {{- if $scheduled }}
  scheduler_address: {{ $full }}-query-scheduler-headless:9095
  {{- else }}
  frontend_address: {{ $full }}-query-frontend-headless:9095
  {{- end }}
{{- end }}
{{- if or (and (eq $mode "Distributed") .Values.indexGateway.enabled) .Values.memcachedIndexQueries.enabled }}
storage_config:
  {{- if and (eq $mode "Distributed") .Values.indexGateway.enabled }}
  tsdb_shipper:
    index_gateway_client:
      server_address: {{ $full }}-index-gateway-headless:9095
  {{- end }}
  {{- if .Values.memcachedIndexQueries.enabled }}
  index_queries_cache_config:
    {{- include "narvi.memcached" (dict "root" $root "name" "memcached-index-queries") | nindent 4 }}
  {{- end }}
{{- end }}
{{- if .Values.memcachedChunks.enabled }}
chunk_store_config:
  chunk_cache_config:
    {{- include "narvi.memcached" (dict "root" $root "name" "memcached-chunks") | nindent 4 }}
{{- end }}
{{- if .Values.memcachedFrontend.enabled }}
query_range:
  cache_results: true
  results_cache:
    cache:
      {{- include "narvi.memcached" (dict "root" $root "name" "memcached-frontend") | nindent 6 }}
{{- end }}
schema_config:
  configs:
    - from: "2020-10-24"
      store: tsdb
      object_store: {{ include "narvi.storageType" . }}
      schema: v13
      index: {prefix: index_, period: 24h}
runtime_config:
  file: /var/{{ include "narvi.name" . }}-runtime/runtime.yaml
ruler:
  rule_path: /tmp/loki/scratch
  {{- if .Values.ruler.directories }}
  storage:
    type: local
    local: {directory: /etc/loki/rules}
  {{- else if .Values.minio.enabled }}
  storage:
    type: s3
    s3:
      bucketnames: {{ include "narvi.bucket" (dict "root" . "name" "ruler") }}
  {{- end }}
{{- end }}

{{- define "narvi.storageType" -}}
{{- if .Values.minio.enabled }}s3{{ else }}{{ .Values.loki.storage.type | default "filesystem" }}{{ end }}
{{- end }}

{{- define "narvi.commonStorage" -}}
{{- $type := include "narvi.storageType" . }}
storage:
  {{- if .Values.minio.enabled }}
  s3:
    endpoint: {{ .Release.Name }}-minio.{{ .Release.Namespace }}.svc:9000
    bucketnames: {{ include "narvi.bucket" (dict "root" . "name" "chunks") }}
    access_key_id: {{ .Values.minio.accessKey | quote }}
    secret_access_key: {{ .Values.minio.secretKey | quote }}
    s3forcepathstyle: true
    insecure: true
  {{- else if eq $type "filesystem" }}
  filesystem: {{ dict "chunks_directory" "/var/loki/chunks" "rules_directory" "/var/loki/rules" | merge (deepCopy (get .Values.loki.storage "filesystem" | default dict)) | toJson }}
  {{- else }}
  {{ $type }}: {{ get .Values.loki.storage $type | default dict | toJson }}
  {{- end }}
{{- end }}

{{/* The bucket of that name among those of minio.buckets, else the first. */}}
{{- define "narvi.bucket" -}}
{{- $names := list }}
{{- range .root.Values.minio.buckets }}{{ $names = append $names .name }}{{ end }}
{{- if has .name $names }}{{ .name }}{{ else }}{{ first $names }}{{ end }}
{{- end }}

{{- define "narvi.memcached" -}}
memcached:
  batch_size: 100
  parallelism: 16
memcached_client:
  addresses: dnssrvnoa+_memcached._tcp.{{ include "narvi.host" . }}
  consistent_hash: true
{{- end }}

{{/* The whole configuration, as YAML. */}}
{{- define "narvi.config" -}}
{{- $text := "" }}
{{- if .Values.loki.config }}
{{- $text = tpl .Values.loki.config . }}
{{- else }}
{{- $text = include "narvi.baseConfig" . }}
{{- end }}
{{- $config := fromYaml $text }}
{{- if hasKey $config "Error" }}{{ fail (printf "loki.config is no YAML: %s" $config.Error) }}{{ end }}
{{- if not .Values.loki.config }}
{{- range $from, $to := include "narvi.configKeys" . | fromYaml }}
{{- with get $.Values.loki $from }}
{{- $part := . }}
{{- if kindIs "string" . }}{{ $part = tpl . $ | fromYaml }}{{ end }}
{{- $config = mergeOverwrite $config (dict $to (deepCopy $part)) }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.loki.structuredConfig }}
{{- $over := tpl (toYaml .Values.loki.structuredConfig) . | fromYaml }}
{{- $config = mergeOverwrite $config $over }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* Which section of the configuration each key below `loki` is laid over. */}}
{{- define "narvi.configKeys" -}}
commonConfig: common
schemaConfig: schema_config
storageConfig: storage_config
storage_config: storage_config
rulerConfig: ruler
limits_config: limits_config
server: server
memberlistConfig: memberlist
distributor: distributor
ingester: ingester
ingester_client: ingester_client
querier: querier
query_range: query_range
frontend: frontend
frontend_worker: frontend_worker
query_scheduler: query_scheduler
index_gateway: index_gateway
compactor: compactor
pattern_ingester: pattern_ingester
{{- end }}
