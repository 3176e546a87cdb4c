//! The vocabulary of permission: one name per thing that may be allowed, shared by both protocols.

macro_rules! actions {
    ($($name:ident),* $(,)?) => {
        /// What a caller wants to do. `s3:Name` and `oss:Name` both map to `Name`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action { $($name),* }

        impl Action {
            pub const ALL: &[Self] = &[$(Self::$name),*];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }
        }
    };
}

actions! {
    AbortMultipartUpload,
    AdminAccounts,
    AdminStore,
    CreateBucket,
    DeleteBucket,
    DeleteBucketConfiguration,
    DeleteObject,
    DeleteObjectVersion,
    DescribeRegions,
    GetBucketConfiguration,
    GetBucketInfo,
    GetBucketLocation,
    GetBucketStat,
    GetBucketVersioning,
    GetObject,
    GetObjectAttributes,
    GetObjectConfiguration,
    GetObjectVersion,
    ListAllMyBuckets,
    ListBucket,
    ListBucketMultipartUploads,
    ListBucketVersions,
    ListMultipartUploadParts,
    PutBucketConfiguration,
    PutBucketVersioning,
    PutObject,
    PutObjectConfiguration,
}
