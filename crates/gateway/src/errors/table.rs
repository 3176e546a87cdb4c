//! One row per condition: number, HTTP status, code in S3 (and in OSS where it differs), message.

use model::Condition;

macro_rules! table {
    ($(
        $name:ident $number:literal: $status:literal $s3:literal $(/ $oss:literal)?,
        $message:literal;
    )*) => {
        /// HTTP status, S3 code, OSS code. A new condition does not compile until it has its row.
        pub const fn row(condition: Condition) -> (u16, &'static str, &'static str) {
            match condition {
                $(Condition::$name => ($status, $s3, table!(@oss $s3 $($oss)?)),)*
            }
        }

        /// What clients of OSS may know it by: it never changes, and a new condition takes the
        /// next one.
        pub const fn number(condition: Condition) -> u32 {
            match condition {
                $(Condition::$name => $number,)*
            }
        }

        /// What the client reads when the service said nothing more exact.
        ///
        /// Source: S3 "Error responses".
        pub const fn message(condition: Condition) -> &'static str {
            match condition {
                $(Condition::$name => $message,)*
            }
        }

        #[cfg(test)]
        pub const ALL: &[Condition] = &[$(Condition::$name),*];
    };
    (@oss $s3:literal) => { $s3 };
    (@oss $s3:literal $oss:literal) => { $oss };
}

table! {
    AccessDenied 1: 403 "AccessDenied",
        "Access Denied";
    AccountAlreadyExists 2: 409 "EntityAlreadyExists",
        "An account of that name, id or key exists already.";
    AclNotSupported 3: 400 "AccessControlListNotSupported",
        "The bucket does not allow ACLs";
    AmbiguousEmail 111: 400 "AmbiguousGrantByEmailAddress" / "InvalidArgument",
        "The email address you provided is associated with more than one account.";
    AuthorizationHeaderMalformed 4: 400 "AuthorizationHeaderMalformed" / "InvalidArgument",
        "The authorization header you provided is invalid.";
    AuthorizationQueryMalformed 5: 400 "AuthorizationQueryParametersError" / "InvalidArgument",
        "The authorization parameters of the query are invalid.";
    BadDigest 6: 400 "BadDigest" / "InvalidDigest",
        "The Content-MD5 you specified did not match what we received.";
    BadRequest 7: 400 "BadRequest",
        "Bad Request";
    BucketAclBlocked 8: 400 "InvalidBucketAclWithBlockPublicAccessError" / "AccessDenied",
        "Bucket cannot have public ACLs set with BlockPublicAccess enabled: new buckets begin with \
         a public access block. Create the bucket, lift the block (DeletePublicAccessBlock), then \
         set the ACL.";
    BucketAclBlockedByAccount 9: 400 "InvalidBucketAclWithBlockPublicAccessError" / "AccessDenied",
        "Bucket cannot have public ACLs set with BlockPublicAccess enabled: BlockPublicAcls of the \
         account's public access block refuses them for all its buckets. The account itself can \
         switch it off (S3 Control PutPublicAccessBlock) or delete the block \
         (DeletePublicAccessBlock).";
    BucketAclNotSupported 10: 400 "InvalidBucketAclWithObjectOwnership",
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting";
    BucketAlreadyExists 11: 409 "BucketAlreadyExists",
        "The requested bucket name is not available. The bucket namespace is shared by all users \
         of the system. Please select a different name and try again.";
    BucketAlreadyOwnedByYou 12: 409 "BucketAlreadyOwnedByYou" / "BucketAlreadyExists",
        "Your previous request to create the named bucket succeeded and you already own it.";
    BucketNotEmpty 13: 409 "BucketNotEmpty",
        "The bucket you tried to delete is not empty";
    ChecksumMismatch 14: 400 "BadDigest" / "InvalidDigest",
        "The checksum you specified did not match the calculated checksum.";
    ContentSha256Mismatch 15: 400 "XAmzContentSHA256Mismatch" / "InvalidDigest",
        "The provided 'x-amz-content-sha256' header does not match what was computed.";
    CorsForbidden 16: 403 "AccessForbidden",
        "Access Denied";
    DamagedData 17: 500 "DamagedData",
        "What was stored is damaged in all copies. Trying again does not help.";
    DeleteConflict 18: 409 "DeleteConflict",
        "It cannot be deleted while something belongs to it.";
    EntityAlreadyExists 19: 409 "EntityAlreadyExists",
        "An entity of that name exists already.";
    EntityTemporarilyUnmodifiable 20: 409 "EntityTemporarilyUnmodifiable",
        "It cannot be changed at the moment.";
    EntityTooLarge 21: 400 "EntityTooLarge",
        "Your proposed upload exceeds the maximum allowed size";
    EntityTooSmall 22: 400 "EntityTooSmall",
        "Your proposed upload is smaller than the minimum allowed size";
    ExpiredIdentityToken 23: 400 "ExpiredTokenException",
        "The web identity token that was passed is expired.";
    ExpiredSignature 24: 403 "AccessDenied",
        "Request has expired";
    ExpiredToken 25: 400 "ExpiredToken" / "SecurityTokenExpired",
        "The provided token has expired.";
    FileAlreadyExists 26: 409 "FileAlreadyExists",
        "The object you specified already exists and can not be overwritten.";
    FormFieldsTooLarge 27: 400 "MaxPostPreDataLengthExceededError" / "FieldItemTooLong",
        "Your POST request fields preceding the upload file were too large.";
    IdpCommunication 28: 400 "IDPCommunicationError",
        "The identity provider could not be reached to verify the token.";
    IdpRejectedClaim 29: 403 "IDPRejectedClaim",
        "The identity provider's claim was rejected.";
    IllegalVersioningConfiguration 30: 400
        "IllegalVersioningConfigurationException" / "InvalidArgument",
        "The Versioning element must be specified";
    IncompleteBody 31: 400 "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header";
    Internal 32: 500 "InternalError",
        "We encountered an internal error. Please try again.";
    InvalidAccessKeyId 33: 403 "InvalidAccessKeyId",
        "The Access Key Id you provided does not exist in our records.";
    InvalidArgument 34: 400 "InvalidArgument",
        "Invalid Argument";
    InvalidAuthenticationCode 35: 403 "InvalidAuthenticationCode",
        "Authentication code for device is not valid.";
    InvalidBucketName 36: 400 "InvalidBucketName",
        "The specified bucket is not valid.";
    InvalidCopySource 37: 400 "InvalidArgument",
        "Copy Source must mention the source bucket and key: sourcebucket/sourcekey";
    InvalidDigest 38: 400 "InvalidDigest",
        "The Content-MD5 you specified was invalid.";
    InvalidEncryption 39: 400 "InvalidEncryptionAlgorithmError",
        "The encryption request you specified is not valid. The valid value is AES256.";
    InvalidIdentityToken 40: 400 "InvalidIdentityToken",
        "The web identity token that was passed could not be validated.";
    InvalidInput 41: 400 "InvalidInput",
        "The input is not valid.";
    InvalidLocationConstraint 42: 400 "InvalidLocationConstraint",
        "The specified location-constraint is not valid";
    InvalidObjectName 43: 400 "InvalidArgument" / "InvalidObjectName",
        "The specified object is not valid.";
    InvalidPart 44: 400 "InvalidPart",
        "One or more of the specified parts could not be found.  The part may not have been \
         uploaded, or the specified entity tag may not match the part's entity tag.";
    InvalidPartNumber 45: 416 "InvalidPartNumber" / "InvalidRange",
        "The requested partnumber is not satisfiable";
    InvalidPartOrder 46: 400 "InvalidPartOrder",
        "The list of parts was not in ascending order. Parts must be ordered by part number.";
    InvalidPostPolicy 47: 400 "InvalidPolicyDocument",
        "The content of the form does not meet the conditions specified in the policy document.";
    InvalidRange 48: 416 "InvalidRange",
        "The requested range is not satisfiable";
    InvalidRequest 49: 400 "InvalidRequest",
        "Invalid Request";
    InvalidSecurityToken 50: 400 "InvalidToken" / "InvalidSecurityToken",
        "The provided token is malformed or otherwise invalid.";
    InvalidStorageClass 51: 400 "InvalidStorageClass",
        "The storage class you specified is not valid";
    InvalidTag 112: 400 "InvalidTag" / "InvalidTagging",
        "The tag provided was not a valid tag.";
    InvalidUri 52: 400 "InvalidURI",
        "Couldn't parse the specified URI.";
    KeyTooLong 53: 400 "KeyTooLongError" / "InvalidObjectName",
        "Your key is too long";
    MalformedForm 54: 400 "MalformedPOSTRequest",
        "The body of your POST request is not well-formed multipart/form-data.";
    LimitExceeded 55: 409 "LimitExceeded",
        "There is more of it than is allowed.";
    MalformedAcl 56: 400 "MalformedACLError" / "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema";
    MalformedPolicy 57: 400 "MalformedPolicy" / "InvalidPolicyDocument",
        "The policy is not in the valid JSON format";
    MalformedPolicyDocument 58: 400 "MalformedPolicyDocument" / "InvalidPolicyDocument",
        "The policy is not in the valid JSON format";
    MalformedTrailer 59: 400 "MalformedTrailerError" / "InvalidArgument",
        "The request contained trailing data that was not well-formed or did not conform to our \
         published schema.";
    MalformedXml 60: 400 "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema";
    MaxMessageLengthExceeded 61: 400 "MaxMessageLengthExceeded",
        "Your request was too big.";
    MetadataTooLarge 62: 400 "MetadataTooLarge" / "InvalidArgument",
        "Your metadata headers exceed the maximum allowed metadata size";
    MethodNotAllowed 63: 405 "MethodNotAllowed",
        "The specified method is not allowed against this resource.";
    MissingContentLength 64: 411 "MissingContentLength",
        "You must provide the Content-Length HTTP header.";
    MissingContentSha256 65: 400 "InvalidRequest" / "InvalidArgument",
        "Missing required header for this request: x-amz-content-sha256";
    MissingRequestBody 66: 400 "MissingRequestBodyError" / "MalformedXML",
        "Request Body is empty";
    MissingSecurityHeader 67: 400 "MissingSecurityHeader" / "InvalidArgument",
        "Your request was missing a required header";
    NoBucketPolicy 68: 404 "NoSuchBucketPolicy",
        "The bucket policy does not exist";
    NoCorsRules 69: 404 "NoSuchCORSConfiguration",
        "The CORS configuration does not exist";
    NoEncryptionRule 70: 404
        "ServerSideEncryptionConfigurationNotFoundError" / "NoSuchServerSideEncryptionRule",
        "The server side encryption configuration was not found";
    NoInventory 71: 404 "NoSuchConfiguration" / "NoSuchInventory",
        "The specified configuration does not exist.";
    NoLifecycleRules 72: 404 "NoSuchLifecycleConfiguration" / "NoSuchLifecycle",
        "The lifecycle configuration does not exist";
    NoObjectLock 73: 404 "ObjectLockConfigurationNotFoundError" / "NoSuchObjectWormConfiguration",
        "Object Lock configuration does not exist for this bucket";
    NoOwnershipControls 74: 404 "OwnershipControlsNotFoundError",
        "The bucket ownership controls were not found";
    NoPublicAccessBlock 75: 404 "NoSuchPublicAccessBlockConfiguration",
        "The public access block configuration was not found";
    NoReplicationRules 76: 404 "ReplicationConfigurationNotFoundError" / "NoSuchReplicationRule",
        "The replication configuration was not found";
    NoRetention 77: 404 "NoSuchObjectLockConfiguration",
        "The specified object does not have a ObjectLock configuration";
    NoSuchAccount 78: 404 "NoSuchEntity",
        "The account does not exist.";
    NoSuchBucket 79: 404 "NoSuchBucket",
        "The specified bucket does not exist";
    NoSuchConfiguration 80: 404 "NoSuchConfiguration",
        "The specified configuration does not exist.";
    NoSuchEntity 81: 404 "NoSuchEntity",
        "There is no entity of that name.";
    NoSuchKey 82: 404 "NoSuchKey",
        "The specified key does not exist.";
    NoSuchUpload 83: 404 "NoSuchUpload",
        "The specified upload does not exist. The upload ID may be invalid, or the upload may \
         have been aborted or completed.";
    NoSuchVersion 84: 404 "NoSuchVersion",
        "The specified version does not exist.";
    NoTags 85: 404 "NoSuchTagSet",
        "The TagSet does not exist";
    NoTransferAcceleration 86: 404 "NoSuchTransferAccelerationConfiguration",
        "The transfer acceleration configuration does not exist.";
    NoWebsite 87: 404 "NoSuchWebsiteConfiguration",
        "The specified bucket does not have a website configuration";
    NoWorm 88: 404 "NoSuchWORMConfiguration",
        "The WORM Configuration does not exist.";
    NotImplemented 89: 501 "NotImplemented",
        "A header or query you provided requested a function that is not implemented.";
    NotOneFile 90:
        400 "IncorrectNumberOfFilesInPostRequest" / "IncorrectNumberOfFilesInPOSTRequest",
        "POST requires exactly one file upload per request.";
    NotModified 91: 304 "NotModified",
        "Not Modified";
    OutOfSpace 92: 507 "InsufficientStorage",
        "There is not enough space to store the data.";
    PartNotSequential 93: 400 "InvalidRequest" / "PartNotSequential",
        "The part is not the next one of a sequential upload.";
    PreconditionFailed 94: 412 "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold";
    PublicAclBlocked 95: 403 "AccessDenied",
        "Access Denied: the ACL is public, and BlockPublicAcls of the bucket's public access block \
         refuses such ACLs. Switch it off (PutPublicAccessBlock) or delete the block \
         (DeletePublicAccessBlock), then set the ACL again.";
    PublicAclBlockedByAccount 96: 403 "AccessDenied",
        "Access Denied: the ACL is public, and BlockPublicAcls of the public access block of the \
         bucket owner's account refuses such ACLs in all its buckets. The account can switch it \
         off (S3 Control PutPublicAccessBlock) or delete its block (DeletePublicAccessBlock), \
         then set the ACL again.";
    PublicPolicyBlocked 97: 403 "AccessDenied",
        "Access Denied: the policy is public, and BlockPublicPolicy of the bucket's public access \
         block refuses such policies. Switch it off (PutPublicAccessBlock) or delete the block \
         (DeletePublicAccessBlock), then put the policy again.";
    PublicPolicyBlockedByAccount 98: 403 "AccessDenied",
        "Access Denied: the policy is public, and BlockPublicPolicy of the public access block of \
         the bucket owner's account refuses such policies for all its buckets. The account can \
         switch it off (S3 Control PutPublicAccessBlock) or delete its block \
         (DeletePublicAccessBlock), then put the policy again.";
    RequestHeadersTooLarge 99: 400 "RequestHeaderSectionTooLarge" / "InvalidArgument",
        "Your request header section exceeds the maximum allowed size.";
    RequestTimeTooSkewed 100: 403 "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.";
    RequestTimeout 101: 400 "RequestTimeout",
        "Your socket connection to the server was not read from or written to within the timeout \
         period.";
    ServiceUnavailable 102: 503 "ServiceUnavailable",
        "Service is unable to handle request.";
    SignatureDoesNotMatch 103: 403 "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check \
         your key and signing method.";
    SignatureNonceUsed 104: 400 "SignatureNonceUsed",
        "Specified signature nonce was used already.";
    SlowDown 105: 503 "SlowDown" / "ServiceUnavailable",
        "Please reduce your request rate.";
    TooManyBuckets 106: 400 "TooManyBuckets",
        "You have attempted to create more buckets than allowed";
    UnresolvableEmail 107: 400 "UnresolvableGrantByEmailAddress" / "InvalidArgument",
        "The e-mail address you provided does not match any account on record.";
    UnsupportedSignature 108: 400 "InvalidRequest" / "InvalidArgument",
        "The authorization mechanism you have provided is not supported. Please use \
         AWS4-HMAC-SHA256.";
    ValidationError 109: 400 "ValidationError",
        "The input does not have the form it must have.";
    WriteConflict 110: 503 "SlowDown" / "ServiceUnavailable",
        "Please reduce your request rate.";
}
