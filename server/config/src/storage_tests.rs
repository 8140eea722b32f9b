//! Tests of how a file names its object store.

use super::{Hidden, S3Config, StoreConfig, percent_decoded};
use crate::{Config, Flags};

const PERIOD: &str = "schema_config: {configs: [{from: 2024-01-01, store: tsdb, schema: v13, object_store: ";

fn read(text: &str) -> Result<Config, String> {
    Config::from_yaml(text, &Flags::default()).map_err(|error| error.to_string())
}

fn s3(text: &str) -> S3Config {
    match read(text).expect("it is right").object_store {
        StoreConfig::S3(s3) => *s3,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_store_in_every_form() {
    let fields =
        "endpoint: minio:9000, insecure: true, access_key_id: K, secret_access_key: a/b, s3forcepathstyle: true";
    let expected = S3Config {
        endpoint: "minio:9000".into(),
        buckets: vec!["logs".into()],
        access_key_id: "K".into(),
        secret_access_key: Hidden("a/b".into()),
        path_style: true,
        insecure: true,
        ..S3Config::default()
    };
    let period = format!("{PERIOD}s3}}]}}\n");
    let forms = [
        format!("common: {{storage: {{s3: {{bucketnames: logs, {fields}}}}}}}\n"),
        format!("{period}common: {{storage: {{s3: {{bucketnames: logs, {fields}}}}}}}\n"),
        format!("{period}storage_config: {{aws: {{bucketnames: logs, {fields}}}}}\n"),
        format!(
            "{period}storage_config: {{aws: {{s3: 's3://K:a%2Fb@minio:9000/logs', insecure: true, s3forcepathstyle: \
             true}}}}\n"
        ),
        format!(
            "{PERIOD}cold}}]}}\nstorage_config: {{named_stores: {{aws: {{cold: {{bucketnames: logs, {fields}}}}}}}}}\n"
        ),
    ];
    for form in forms {
        assert_eq!(s3(&form), expected, "{form}");
    }
    let thanos = format!(
        "{period}storage_config: {{use_thanos_objstore: true, object_store: {{s3: {{bucket_name: logs, endpoint: \
         'minio:9000', insecure: true, access_key_id: K, secret_access_key: a/b}}}}}}\n"
    );
    let found = s3(&thanos);
    assert_eq!(found, expected);
}

#[test]
fn urls_lists_encryption_and_retries() {
    let found =
        s3("common: {storage: {s3: {s3: 's3://<KEY>:<SECRET>@<URL>/<BUCKET>', sse: {type: SSE-KMS, kms_key_id: k}, \
         backoff_config: {max_retries: 2, min_period: 1s}}}}\n");
    assert_eq!(
        (found.region.as_str(), found.buckets[0].as_str(), found.access_key_id.as_str()),
        ("<URL>", "<BUCKET>", "<KEY>")
    );
    assert_eq!((found.sse_type.as_str(), found.retries.most), ("SSE-KMS", 2));
    assert_eq!(s3("common: {storage: {s3: {bucketnames: 'a, b', region: x}}}").buckets, ["a", "b"]);
    assert!(!format!("{found:?}").contains("SECRET"));
    assert_eq!(percent_decoded("a%2fb%zz%"), "a/b%zz%");
}

#[test]
fn other_clouds_and_files() {
    let text = format!("{PERIOD}gcs}}]}}\nstorage_config: {{gcs: {{bucket_name: b}}}}\n");
    assert!(matches!(read(&text).map(|c| c.object_store), Ok(StoreConfig::Gcs(gcs)) if gcs.bucket == "b"));
    let text = format!(
        "{PERIOD}azure}}]}}\nstorage_config: {{azure: {{connection_string: 'AccountName=a;AccountKey=k=='}}}}\n"
    );
    assert!(
        matches!(read(&text).map(|c| c.object_store), Ok(StoreConfig::Azure(a)) if a.account_key.reveal() == "k==")
    );
    let text = format!("{PERIOD}filesystem}}]}}\nstorage_config: {{aws: {{bucketnames: unused}}}}\n");
    assert_eq!(read(&text).map(|c| c.object_store), Ok(StoreConfig::Files));
    let two = "schema_config: {configs: [{from: 2023-01-01, object_store: gcs}, {from: 2024-01-01, object_store: \
               filesystem}]}\n";
    let config = read(two).expect("it is right");
    assert!(config.warnings[0].contains("several object stores (gcs, filesystem)"), "{:?}", config.warnings);
}
