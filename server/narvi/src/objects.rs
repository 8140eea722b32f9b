//! The object store that a configuration describes.

use std::{sync::Arc, time::Duration};

use narvi::{
    ObjectStoreAdapter, SpreadStore, Store,
    object_store::{
        BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig,
        aws::{AmazonS3Builder, AmazonS3ConfigKey},
        azure::{AzureConfigKey, MicrosoftAzureBuilder},
        gcp::GoogleCloudStorageBuilder,
    },
};
use narvi_config::{AzureConfig, GcsConfig, Retries, S3Config, StoreConfig};

use crate::failure::{Failure, Outcome};

/// What all names of Narvi's objects begin with, so that they can lie beside Loki's.
const PREFIX: &str = "narvi";
/// How long one request may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After so long nothing is tried again: a query's client does not wait longer, and a flush begins anew by itself.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// What the operations of a store are counted under: `s3`, `gcs` or `azure_blob`.
pub(crate) fn metric_name(config: &StoreConfig) -> Option<&'static str> {
    match config {
        StoreConfig::S3(_) => Some("s3"),
        StoreConfig::Gcs(_) => Some("gcs"),
        StoreConfig::Azure(_) => Some("azure_blob"),
        _ => None,
    }
}

/// Opens the store; nothing if objects lie in the data directory.
pub(crate) fn open(config: &StoreConfig) -> Outcome<Option<Arc<dyn Store>>> {
    let adapter = |store: Arc<dyn ObjectStore>, prefix: &str| -> Outcome<Arc<dyn Store>> {
        let prefix = [prefix.trim_matches('/'), PREFIX].join("/");
        let adapter = ObjectStoreAdapter::new(store, &prefix);
        Ok(Arc::new(adapter.map_err(|error| Failure::of("cannot start the object store", error))?))
    };
    match config {
        StoreConfig::S3(s3) => {
            let mut stores = Vec::with_capacity(s3.buckets.len());
            for bucket in &s3.buckets {
                stores.push(adapter(open_s3(s3, bucket)?, &s3.prefix)?);
            }
            match stores.len() {
                1 => Ok(stores.pop()),
                _ => {
                    let spread = SpreadStore::new(stores);
                    Ok(Some(Arc::new(spread.map_err(|error| Failure::of("cannot use the S3 buckets", error))?)))
                }
            }
        }
        StoreConfig::Gcs(gcs) => adapter(open_gcs(gcs)?, &gcs.prefix).map(Some),
        StoreConfig::Azure(azure) => adapter(open_azure(azure)?, &azure.prefix).map(Some),
        _ => Ok(None),
    }
}

fn retries(retries: &Retries) -> RetryConfig {
    let backoff = BackoffConfig { init_backoff: retries.min_backoff, max_backoff: retries.max_backoff, base: 2.0 };
    RetryConfig { backoff, max_retries: retries.most, retry_timeout: RETRY_TIMEOUT }
}

fn client() -> ClientOptions {
    ClientOptions::new().with_timeout(REQUEST_TIMEOUT).with_connect_timeout(CONNECT_TIMEOUT)
}

fn open_s3(config: &S3Config, bucket: &str) -> Outcome<Arc<dyn ObjectStore>> {
    let mut options = client().with_allow_http(config.insecure || config.endpoint.starts_with("http://"));
    if config.skip_verify {
        options = options.with_allow_invalid_certificates(true);
    }
    if !config.ca_file.is_empty() {
        let pem = std::fs::read(&config.ca_file).map_err(|error| {
            Failure::of(format_args!("cannot read the S3 certificates in {}", config.ca_file), error)
        })?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| {
            Failure::of(format_args!("cannot use the S3 certificates in {}", config.ca_file), error)
        })?;
        options = certificates.into_iter().fold(options, ClientOptions::with_root_certificate);
    }
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_retry(retries(&config.retries))
        .with_client_options(options)
        .with_disable_tagging(true);
    if !config.region.is_empty() {
        builder = builder.with_region(&config.region);
    }
    if !config.access_key_id.is_empty() {
        builder =
            builder.with_access_key_id(&config.access_key_id).with_secret_access_key(config.secret_access_key.reveal());
    }
    if !config.session_token.reveal().is_empty() {
        builder = builder.with_token(config.session_token.reveal());
    }
    if let Some((endpoint, virtual_host)) = s3_endpoint(config, bucket) {
        builder = builder.with_endpoint(endpoint).with_virtual_hosted_style_request(virtual_host);
    }
    builder = match config.sse_type.as_str() {
        "SSE-KMS" => builder.with_sse_kms_encryption(&config.sse_kms_key_id),
        "SSE-S3" => {
            let key: AmazonS3ConfigKey = "aws_server_side_encryption"
                .parse()
                .map_err(|error| Failure::of("cannot ask S3 for encryption", error))?;
            builder.with_config(key, "AES256")
        }
        _ => builder,
    };
    let store =
        builder.build().map_err(|error| Failure::of(format_args!("cannot use the S3 bucket {bucket}"), error))?;
    Ok(Arc::new(store))
}

/// The URL that the bucket is asked at, and whether its host names the bucket; nothing for Amazon's own.
fn s3_endpoint(config: &S3Config, bucket: &str) -> Option<(String, bool)> {
    let endpoint = config.endpoint.trim_end_matches('/');
    if endpoint.is_empty() {
        return None;
    }
    let (scheme, host) = match endpoint.split_once("://") {
        Some((scheme, host)) => (scheme, host),
        None if config.insecure => ("http", endpoint),
        None => ("https", endpoint),
    };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    // Buckets with dots fit no certificate, and addresses cannot have names before them.
    let can_be_named = name.contains('.') && name.parse::<std::net::IpAddr>().is_err() && !bucket.contains('.');
    match can_be_named && !config.path_style {
        true => Some((format!("{scheme}://{bucket}.{host}"), true)),
        false => Some((format!("{scheme}://{host}"), false)),
    }
}

fn open_gcs(config: &GcsConfig) -> Outcome<Arc<dyn ObjectStore>> {
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(&config.bucket)
        .with_retry(retries(&config.retries))
        .with_client_options(client());
    if !config.service_account.reveal().is_empty() {
        builder = builder.with_service_account_key(config.service_account.reveal());
    }
    let failed = |error| Failure::of(format_args!("cannot use the GCS bucket {}", config.bucket), error);
    Ok(Arc::new(builder.build().map_err(failed)?))
}

fn open_azure(config: &AzureConfig) -> Outcome<Arc<dyn ObjectStore>> {
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_account(&config.account_name)
        .with_container_name(&config.container)
        .with_retry(retries(&config.retries))
        .with_client_options(client().with_allow_http(config.endpoint.starts_with("http://")))
        .with_disable_tagging(true);
    if !config.account_key.reveal().is_empty() {
        builder = builder.with_access_key(config.account_key.reveal());
    }
    if !config.client_secret.reveal().is_empty() {
        builder = builder.with_client_secret_authorization(
            &config.client_id,
            config.client_secret.reveal(),
            &config.tenant_id,
        );
    } else if !config.client_id.is_empty() {
        builder = builder.with_config(AzureConfigKey::ClientId, &config.client_id);
    }
    match config.endpoint.as_str() {
        "" => {}
        url if url.contains("://") => builder = builder.with_endpoint(url.to_owned()),
        suffix => builder = builder.with_endpoint(format!("https://{}.{suffix}", config.account_name)),
    }
    let failed = |error| Failure::of(format_args!("cannot use the Azure container {}", config.container), error);
    Ok(Arc::new(builder.build().map_err(failed)?))
}

#[cfg(test)]
mod tests {
    use narvi_config::{Config, Flags, StoreConfig};

    use super::{metric_name, open, s3_endpoint};

    #[test]
    fn endpoints_name_the_bucket_where_they_can() {
        for (fields, expected) in [
            ("endpoint: 'minio:9000', insecure: true", ("http://minio:9000", false)),
            ("endpoint: '127.0.0.1:9000', insecure: true", ("http://127.0.0.1:9000", false)),
            ("endpoint: 'https://s3.example.org'", ("https://b.s3.example.org", true)),
            ("endpoint: 's3.example.org:444'", ("https://b.s3.example.org:444", true)),
            ("endpoint: 's3.example.org', s3forcepathstyle: true", ("https://s3.example.org", false)),
        ] {
            let text = format!("common: {{storage: {{s3: {{bucketnames: b, {fields}}}}}}}");
            let config = Config::from_yaml(&text, &Flags::default()).expect("it is right");
            let StoreConfig::S3(s3) = config.object_store else { panic!("no S3") };
            let found = s3_endpoint(&s3, "b");
            assert_eq!(found.as_ref().map(|(url, named)| (url.as_str(), *named)), Some(expected), "{fields}");
        }
    }

    #[test]
    fn stores_of_all_kinds_are_made_from_a_file() {
        for (section, kind, text) in [
            ("common: {storage: {filesystem: {chunks_directory: /c}}}", None, None),
            (
                "common: {storage: {s3: {s3: 's3://k:s@h.example:9000/a,b', insecure: true}}}",
                Some("s3"),
                Some("SpreadStore"),
            ),
            ("common: {storage: {gcs: {bucket_name: logs}}}", Some("gcs"), Some("GoogleCloudStorage(logs)")),
            (
                "common: {storage: {azure: {account_name: me, account_key: a2V5, container_name: logs}}}",
                Some("azure_blob"),
                Some("MicrosoftAzure { account: me, container: logs }"),
            ),
        ] {
            let config = Config::from_yaml(section, &Flags::default()).expect(section);
            assert_eq!(metric_name(&config.object_store), kind, "{section}");
            let store = open(&config.object_store).expect(section).map(|store| format!("{store:?}"));
            match (store, text) {
                (None, None) => {}
                (Some(store), Some(text)) => assert!(store.contains(text), "{store}"),
                (store, text) => panic!("{store:?} is not {text:?}"),
            }
        }
    }

    #[test]
    fn keys_that_cannot_be_used_are_told() {
        let file = "common: {storage: {gcs: {bucket_name: logs, service_account: 'no key'}}}";
        let config = Config::from_yaml(file, &Flags::default()).expect("it is right");
        let said = open(&config.object_store).expect_err("it cannot be opened").to_string();
        assert!(said.starts_with("cannot use the GCS bucket logs: ") && !said.contains("no key"), "{said}");
    }
}
