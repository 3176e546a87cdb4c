//! Signatures others computed: the examples of the manuals, and of the OSS SDK for Python.

use super::*;
use crate::signature::{Payload, Streaming};

const AWS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const AWS_SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// `20130524T000000Z`
const AWS_NOW: i64 = 1_369_353_600;
const HOST: &str = "examplebucket.s3.amazonaws.com";

fn aws_v4(sample: Sample, signed: &str, sha256: &str, signature: &str) -> Sample {
    let credential = format!("{AWS_KEY}/20130524/us-east-1/s3/aws4_request");
    let value = format!(
        "AWS4-HMAC-SHA256 Credential={credential},SignedHeaders={signed},Signature={signature}"
    );
    sample
        .header("x-amz-content-sha256", sha256)
        .header("x-amz-date", "20130524T000000Z")
        .header("authorization", &value)
}

/// Source: S3 API reference, "Examples: Signature Calculations".
#[test]
fn s3_v4_header_examples_verify() {
    let plain = "host;x-amz-content-sha256;x-amz-date";
    let put_sha256 = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    let samples = [
        aws_v4(
            Sample::new("GET", HOST, "/test.txt").header("range", "bytes=0-9"),
            "host;range;x-amz-content-sha256;x-amz-date",
            EMPTY,
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        aws_v4(
            Sample::new("PUT", HOST, "/test$file.text")
                .header("date", "Fri, 24 May 2013 00:00:00 GMT")
                .header("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            put_sha256,
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        aws_v4(
            Sample::new("GET", HOST, "/?lifecycle"),
            plain,
            EMPTY,
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        aws_v4(
            Sample::new("GET", HOST, "/?prefix=J&max-keys=2"),
            plain,
            EMPTY,
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ];
    for sample in samples {
        let verified = sample.verify_with(AWS_SECRET, AWS_NOW).unwrap();
        assert_eq!(verified.region.as_deref(), Some("us-east-1"));
        assert!(matches!(verified.payload, Payload::Sha256(_)));
    }
}

/// Source: S3 API reference, "Authenticating Requests: Using Query Parameters".
#[test]
fn s3_v4_presigned_example_verifies() {
    let target = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
        &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
        &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    let sample = Sample::new("GET", HOST, target);
    let verified = sample.verify_with(AWS_SECRET, AWS_NOW + 86_400).unwrap();
    assert!(verified.presigned);
    assert_eq!(verified.payload, Payload::Unsigned);
}

/// Source: S3 API reference, "Transferring Payload in Multiple Chunks".
#[test]
fn s3_v4_streaming_example_verifies_and_seeds_the_chunks() {
    let sample = Sample::new("PUT", "s3.amazonaws.com", "/examplebucket/chunkObject.txt")
        .header("x-amz-storage-class", "REDUCED_REDUNDANCY")
        .header("content-encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", "66560")
        .header("content-length", "66824");
    let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
    let signed = "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;\
        x-amz-decoded-content-length;x-amz-storage-class";
    let sample = aws_v4(sample, signed, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", seed);
    let verified = sample.verify_with(AWS_SECRET, AWS_NOW).unwrap();
    let signing = Some(crate::signature::ChunkSigning::example(seed));
    assert_eq!(verified.payload, Payload::Streaming(Streaming { signing, trailer: false }));
}

/// Source: S3 API reference, "Including Trailing Headers (Chunked Upload)".
#[test]
fn s3_v4_trailer_example_verifies() {
    let sample = Sample::new("PUT", "s3.amazonaws.com", "/examplebucket/chunkObject.txt")
        .header("x-amz-storage-class", "REDUCED_REDUNDANCY")
        .header("content-encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", "66560")
        .header("x-amz-trailer", "x-amz-checksum-crc32c");
    let seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
    let signed = "content-encoding;host;x-amz-content-sha256;x-amz-date;\
        x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer";
    let sample = aws_v4(sample, signed, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", seed);
    let verified = sample.verify_with(AWS_SECRET, AWS_NOW).unwrap();
    assert!(matches!(verified.payload, Payload::Streaming(Streaming { trailer: true, .. })));
}

fn aws_v2(sample: Sample, date: &str, signature: &str) -> (Sample, i64) {
    let at = DateTime::parse_from_rfc2822(date).unwrap().timestamp();
    let value = format!("AWS {AWS_KEY}:{signature}");
    (sample.header("date", date).header("authorization", &value), at)
}

/// Source: S3 manual, "Signing and authenticating REST requests", examples.
#[test]
fn s3_v2_examples_verify() {
    let host = "johnsmith.s3.amazonaws.com";
    let samples = [
        aws_v2(
            Sample::new("GET", host, "/photos/puppy.jpg"),
            "Tue, 27 Mar 2007 19:36:42 +0000",
            "bWq2s1WEIj+Ydj0vQ697zp+IXMU=",
        ),
        aws_v2(
            Sample::new("PUT", host, "/photos/puppy.jpg").header("content-type", "image/jpeg"),
            "Tue, 27 Mar 2007 21:15:45 +0000",
            "MyyxeRY7whkBe+bq8fHCL/2kKUg=",
        ),
        aws_v2(
            Sample::new("GET", host, "/?prefix=photos&max-keys=50&marker=puppy"),
            "Tue, 27 Mar 2007 19:42:41 +0000",
            "htDYFYduRNen8P9ZfE/s9SuKy0U=",
        ),
        aws_v2(
            Sample::new("GET", host, "/?acl"),
            "Tue, 27 Mar 2007 19:44:46 +0000",
            "c2WLPFtWHVgbEmeEG93a4cG37dM=",
        ),
        aws_v2(
            Sample::new("DELETE", "s3.amazonaws.com", "/johnsmith/photos/puppy.jpg"),
            "Tue, 27 Mar 2007 21:20:26 +0000",
            "lx3byBScXR6KzyMaifNkardMwNk=",
        ),
        aws_v2(
            Sample::new("GET", "awsexamplebucket1.s3.amazonaws.com", "/photos/puppy.jpg"),
            "Tue, 27 Mar 2007 19:36:42 +0000",
            "qgk2+6Sv9/oM7G3qLEjTH1a1l1g=",
        ),
        aws_v2(
            Sample::new("GET", "s3.amazonaws.com", "/"),
            "Wed, 28 Mar 2007 01:29:59 +0000",
            "qGdzdERIC03wnaRNKh6OqZehG9s=",
        ),
        aws_v2(
            Sample::new("GET", "s3.amazonaws.com", "/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re"),
            "Wed, 28 Mar 2007 01:49:49 +0000",
            "DNEZGsoieTZ92F3bUfSPQcbGmlM=",
        ),
        aws_v2(
            Sample::new("PUT", "static.johnsmith.net.s3.amazonaws.com", "/db-backup.dat.gz")
                .header("x-amz-acl", "public-read")
                .header("content-type", "application/x-download")
                .header("content-md5", "4gJE4saaMU4BqNR0kLY+lw==")
                .header("x-amz-meta-reviewedby", "joe@johnsmith.net")
                .header("x-amz-meta-reviewedby", "jane@johnsmith.net")
                .header("x-amz-meta-filechecksum", "0x02661779")
                .header("x-amz-meta-checksumalgorithm", "crc32"),
            "Tue, 27 Mar 2007 21:06:08 +0000",
            "ilyl83RwaSoYIEdixDQcA4OnAnc=",
        ),
    ];
    for (sample, at) in samples {
        assert_eq!(sample.verify_with(AWS_SECRET, at).err(), None, "{sample:?}");
    }
    let target = "/photos/puppy.jpg?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE\
        &Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620";
    let sample = Sample::new("GET", host, target);
    assert_eq!(sample.verify_with(AWS_SECRET, 1_175_139_620).err(), None);
}

const DATE: &str = "Fri, 02 Jan 2026 03:04:05 GMT";
const PATH: &str = "/bkt/dir%2Fa%20b%2B%C3%A9.txt";

fn oss_put(authorization: &str) -> Sample {
    Sample::new("PUT", "127.0.0.1:9000", &format!("{PATH}?acl&prefix=zz"))
        .header("content-type", "text/plain")
        .header("x-oss-meta-b", "2")
        .header("x-oss-meta-a", "1")
        .header("authorization", authorization)
}

#[test]
fn oss_v1_answers_verify() {
    let sample = oss_put("OSS AKID:65ksBF26MRLhs2EQW61gL78ugAA=").header("date", DATE);
    assert_eq!(sample.verify().err(), None);
    let target = format!(
        "{PATH}?response-content-type=a%2Fb&OSSAccessKeyId=AKID&Expires=1767326645\
         &Signature=yD7uiMx49mwbQ8smyw7fIo4wDLs%3D"
    );
    assert_eq!(Sample::new("GET", "127.0.0.1", &target).verify().err(), None);
    let target = target.replace("/bkt/", "/");
    let sample = Sample::new("GET", "bkt.example.com", &target);
    assert_eq!(sample.verify().err(), None, "a host adds its bucket to what is signed");
}

#[test]
fn oss_v2_answer_verifies() {
    let value = "OSS2 AccessKeyId:AKID,Signature:Ytu8Ix6jSGHKC5RsCItZILfiNP022pq9Qu/22RZ7pS0=";
    assert_eq!(oss_put(value).header("date", DATE).verify().err(), None);
}

#[test]
fn oss_v4_answers_verify() {
    let scope = "20260102/cn-local/oss/aliyun_v4_request";
    let signature = "b27f4d77f9d6d50ff088e1740bb8a183c4c4becef974eb3245444c6925bed833";
    for value in [
        format!("OSS4-HMAC-SHA256 Credential=AKID/{scope},Signature={signature}"),
        format!("OSS4-HMAC-SHA256 Signature={signature} , Credential=AKID/{scope}"),
    ] {
        let sample = oss_put(&value)
            .header("x-oss-date", "20260102T030405Z")
            .header("x-oss-content-sha256", "UNSIGNED-PAYLOAD");
        let verified = sample.verify().unwrap();
        assert_eq!(verified.region.as_deref(), Some("cn-local"));
    }
    let target = format!(
        "{PATH}?response-content-type=a%2Fb&x-oss-signature-version=OSS4-HMAC-SHA256\
         &x-oss-credential=AKID%2F20260102%2Fcn-local%2Foss%2Faliyun_v4_request\
         &x-oss-date=20260102T030405Z&x-oss-expires=3600&x-oss-signature=\
         eabb04fd1249069a6ef27b41dcb34f47fe9c3ab88cc5d2db59ba706505555d0f"
    );
    assert_eq!(Sample::new("GET", "127.0.0.1", &target).verify().err(), None);
}

/// Older clients sign V4 without `x-oss-date`: the text of `Date` is the time stamp.
#[test]
fn oss_v4_answer_with_only_a_date_verifies() {
    let value = "OSS4-HMAC-SHA256 Credential=AKID/20260102/cn-local/oss/aliyun_v4_request,\
        Signature=d5519375dfea760ff7eb266a5f064ee6693d2f2d1d3f3df8c4552aa5b336f26d";
    let sample = Sample::new("GET", "127.0.0.1", "/bkt/?max-keys=10&prefix")
        .header("date", DATE)
        .header("x-oss-content-sha256", "UNSIGNED-PAYLOAD")
        .header("authorization", value);
    assert_eq!(sample.verify().err(), None);
}
