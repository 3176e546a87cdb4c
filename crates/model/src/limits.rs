//! Every number the product promises or refuses at, with its source.

/// Longest object key in bytes of UTF-8. Source: S3 "Naming Amazon S3 objects".
pub const KEY_BYTES_MAX: usize = 1024;
/// Longest object key written over OSS. Source: OSS "Object naming conventions".
pub const KEY_BYTES_MAX_OSS: usize = 1023;
/// Shortest and longest bucket name. Source: S3 "Bucket naming rules", the same in OSS.
pub const BUCKET_NAME_BYTES: std::ops::RangeInclusive<usize> = 3..=63;
/// User metadata of an object over S3, names and values together. Source: S3 "Object metadata".
pub const METADATA_BYTES_MAX_S3: usize = 2 * 1024;
/// User metadata of an object over OSS. Source: OSS PutObject.
pub const METADATA_BYTES_MAX_OSS: usize = 8 * 1024;
/// System headers kept with an object (`Content-Type`, `Cache-Control` …), each.
pub const SYSTEM_HEADER_BYTES_MAX: usize = 4 * 1024;
/// Part numbers. Source: S3 "Multipart upload limits", the same in OSS.
pub const PART_NUMBERS: std::ops::RangeInclusive<u32> = 1..=10_000;
/// Smallest part but the last, over S3. Source: S3 "Multipart upload limits".
pub const PART_BYTES_MIN_S3: u64 = 5 * 1024 * 1024;
/// Smallest part but the last, over OSS. Source: OSS InitiateMultipartUpload.
pub const PART_BYTES_MIN_OSS: u64 = 100 * 1024;
/// Largest part, and largest object put in one request. Source: S3 "Multipart upload limits".
pub const PART_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// Largest object: every part number at its largest.
pub const OBJECT_BYTES_MAX: u64 = 10_000 * PART_BYTES_MAX;
/// Most entries a listing page holds. Source: S3 ListObjectsV2.
pub const LIST_ENTRIES_MAX: u32 = 1000;
/// Most keys in one delete-multiple request. Source: S3 DeleteObjects.
pub const DELETE_KEYS_MAX: usize = 1000;
/// Most buckets an account owns, so that a lost client cannot fill the store with them.
pub const BUCKETS_PER_ACCOUNT_MAX: usize = 10_000;
/// Largest XML body, and the largest of `?delete` and complete-multipart.
pub const XML_BYTES_MAX: usize = 1024 * 1024;
/// Largest XML body of `?delete` and complete-multipart.
pub const XML_BYTES_MAX_LONG: usize = 2 * 1024 * 1024;
/// Deepest nesting in an XML body.
pub const XML_DEPTH_MAX: usize = 32;
/// Seconds in which a body may stand still, unless set otherwise.
pub const BODY_IDLE_SECONDS: u64 = 60;
/// The longest such time that may be set.
pub const BODY_IDLE_SECONDS_MAX: u64 = 3600;
/// The stretch of waiting over which the speed of a body is judged.
pub const BODY_WINDOW_SECONDS: u64 = 60;
/// Bytes a second below which a body is given up, unless set otherwise. Source: `MinRate` of
/// Apache's `mod_reqtimeout`.
pub const BODY_BYTES_PER_SECOND_MIN: u64 = 500;
/// The highest such speed that may be set.
pub const BODY_BYTES_PER_SECOND_MIN_MAX: u64 = 1024 * 1024;
/// Seconds a client's clock may be off. Source: S3 "RequestTimeTooSkewed", the same in OSS.
pub const SKEW_SECONDS_MAX: i64 = 15 * 60;
/// Longest life of a presigned V4 URL in seconds. Source: S3 "X-Amz-Expires".
pub const PRESIGN_SECONDS_MAX: i64 = 7 * 24 * 3600;
/// Parts in one row of a multipart content, so that a row of eight copies stays below 64 KiB.
pub const PARTS_PER_ROW: usize = 250;
/// Tries of an optimistic commit before the client is asked to come back.
pub const COMMIT_TRIES_MAX: u32 = 64;
/// Longest bucket policy. Source: S3 "Bucket policies".
pub const POLICY_BYTES_MAX_AWS: usize = 20 * 1024;
/// Longest bucket policy in the language of OSS. Source: OSS PutBucketPolicy.
pub const POLICY_BYTES_MAX_OSS: usize = 16 * 1024;
/// Statements of one policy.
pub const POLICY_STATEMENTS_MAX: usize = 250;
/// Principals, resources and values of conditions in one policy, all together.
pub const POLICY_VALUES_MAX: usize = 2000;
/// Users and roles that one policy names: which they are is noted beside its text.
pub const POLICY_ENTITIES_MAX: usize = 500;
/// Text of all policies that are kept compiled. What they take in memory is a few times that.
pub const POLICY_CACHE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Names and values of all fields of a browser form before its file. Source: S3 "POST Object".
pub const FORM_FIELDS_BYTES_MAX: usize = 20 * 1024;
/// Users of an account, and as many groups and roles. Source: "IAM and AWS STS quotas" for users.
pub const ENTITIES_PER_ACCOUNT_MAX: usize = 5000;
/// Tags of a user, role or managed policy. Source: "IAM and AWS STS quotas".
pub const ENTITY_TAGS_MAX: usize = 50;
/// Groups a user is in. Source: "IAM and AWS STS quotas".
pub const GROUPS_PER_USER_MAX: usize = 10;
/// Access keys of a user. Source: "IAM and AWS STS quotas".
pub const KEYS_PER_USER_MAX: usize = 2;
/// Managed policies of an account. Source: "IAM and AWS STS quotas".
pub const MANAGED_POLICIES_MAX: usize = 1500;
/// Managed policies at one entity. Source: "IAM and AWS STS quotas", the highest there is.
pub const ATTACHED_POLICIES_MAX: usize = 20;
/// Versions of a managed policy. Source: "IAM and AWS STS quotas".
pub const POLICY_VERSIONS_MAX: usize = 5;
/// Letters of a managed policy without blanks. Source: "IAM and AWS STS quotas".
pub const MANAGED_POLICY_BYTES_MAX: usize = 6144;
/// Letters of all own policies of a user without blanks. Source: "IAM and AWS STS quotas".
pub const INLINE_BYTES_MAX_USER: usize = 2048;
/// The same of a group.
pub const INLINE_BYTES_MAX_GROUP: usize = 5120;
/// The same of a role.
pub const INLINE_BYTES_MAX_ROLE: usize = 10_240;
/// Letters of the policy that says who may take on a role. Source: "IAM and AWS STS quotas".
pub const TRUST_POLICY_BYTES_MAX: usize = 4096;
/// What the longest session of a role may be set to. Source: IAM CreateRole.
pub const ROLE_SESSION_SECONDS: std::ops::RangeInclusive<u32> = 3600..=43_200;
/// Length of a role's session, unless asked for otherwise. Source: STS `AssumeRole`.
pub const SESSION_SECONDS_ROLE: i64 = 3600;
/// Longest session of a role that a session takes on. Source: "Role chaining".
pub const SESSION_SECONDS_CHAINED: i64 = 3600;
/// Length of a user's session. Source: STS `GetSessionToken`.
pub const SESSION_SECONDS: std::ops::RangeInclusive<i64> = 900..=129_600;
/// Longest session of an account itself. Source: STS `GetSessionToken`.
pub const SESSION_SECONDS_ACCOUNT: i64 = 3600;
/// Managed policies that limit one session. Source: STS `AssumeRole`.
pub const SESSION_POLICIES_MAX: usize = 10;
/// All policies of a session together; a token travels in a header. Source: STS `AssumeRole`.
pub const SESSION_POLICY_BYTES_MAX: usize = 2048;
/// Name of somebody to whom rights are lent. Source: STS `GetFederationToken`.
pub const FEDERATION_NAME_BYTES: std::ops::RangeInclusive<usize> = 2..=32;
/// Refused requests of one process whose reasons are remembered.
pub const DENIALS_KEPT_MAX: usize = 4096;
/// Their memory in bytes.
pub const DENIAL_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Days for which changes of who may do what are remembered, unless set otherwise.
pub const AUDIT_KEEP_DAYS: u64 = 365;
/// The most such days that may be set.
pub const AUDIT_KEEP_DAYS_MAX: u64 = 3650;
/// Such changes by one account that are remembered.
pub const AUDIT_ENTRIES_PER_ACCOUNT_MAX: i64 = 100_000;
/// Second factors of one user. Source: "IAM and AWS STS quotas".
pub const MFA_DEVICES_MAX: usize = 8;
/// Name of a second factor. Source: IAM CreateVirtualMFADevice.
pub const MFA_NAME_BYTES_MAX: usize = 226;
/// Wrong codes in a row before a device is asked to wait. Source: RFC 4226, section 7.3.
pub const MFA_WRONG_MAX: u32 = 5;
/// The wait after that many; it doubles with each further one.
pub const MFA_WAIT_MS: i64 = 30_000;
/// The longest such wait.
pub const MFA_WAIT_MS_MAX: i64 = 3_600_000;
/// OpenID Connect providers of an account. Source: "IAM and AWS STS quotas".
pub const OIDC_PROVIDERS_MAX: usize = 100;
/// The URL of one. Source: IAM `CreateOpenIDConnectProvider`.
pub const PROVIDER_URL_BYTES_MAX: usize = 255;
/// Audiences of one, and letters of each. Source: "IAM and AWS STS quotas".
pub const CLIENT_IDS_MAX: usize = 100;
pub const CLIENT_ID_BYTES_MAX: usize = 255;
/// Thumbprints of one. Source: IAM `CreateOpenIDConnectProvider`.
pub const THUMBPRINTS_MAX: usize = 5;
/// The token of an identity provider. Source: STS `AssumeRoleWithWebIdentity`.
pub const WEB_IDENTITY_TOKEN_BYTES: std::ops::RangeInclusive<usize> = 4..=20_000;
/// Largest body of a form.
pub const FORM_BYTES_MAX: usize = 256 * 1024;
